//! The readiness of a service behind a circuit: who is let in, and when the inner service is asked.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tower::Service;

use super::circuit::Circuit;
use super::permit::Permit;
use crate::error::Rejected;

/// One service instance and the permit it holds, if it holds one.
#[derive(Debug)]
pub(super) struct Gate<S> {
    inner: S,
    circuit: Arc<Circuit>,
    ready: Ready,
}

#[derive(Debug)]
enum Ready {
    Not,
    /// Let in; the inner service may have said Ready.
    Admitted(Permit),
    /// The next call is refused.
    Refused(Rejected),
}

/// Readiness is not shared: a clone asks for itself.
impl<S: Clone> Clone for Gate<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), circuit: Arc::clone(&self.circuit), ready: Ready::Not }
    }
}

impl<S> Gate<S> {
    pub(super) fn new(inner: S, circuit: Arc<Circuit>) -> Self {
        Self { inner, circuit, ready: Ready::Not }
    }

    #[inline]
    pub(super) fn poll_ready<Req>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<Req>,
    {
        if !matches!(self.ready, Ready::Admitted(_)) {
            self.ready = match Permit::acquire(&self.circuit) {
                Ok(permit) => Ready::Admitted(permit),
                Err(rejected) => Ready::Refused(rejected),
            };
        }
        if let Ready::Refused(_) = self.ready {
            return Poll::Ready(Ok(()));
        }
        let polled = ready!(self.inner.poll_ready(cx));
        if polled.is_err() {
            self.ready = Ready::Not;
        }
        Poll::Ready(polled)
    }

    /// The inner call's future with its permit, or the refusal.
    ///
    /// # Panics
    /// When the service was not asked for readiness before, as [`Service::call`] may.
    #[inline]
    pub(super) fn call<Req>(&mut self, request: Req) -> Result<(S::Future, Permit), Rejected>
    where
        S: Service<Req> + Clone,
    {
        let mut permit = match std::mem::replace(&mut self.ready, Ready::Not) {
            Ready::Admitted(permit) => permit,
            Ready::Refused(rejected) => {
                self.circuit.count_refusal(&rejected);
                return Err(rejected);
            }
            Ready::Not => panic!("`call` without `poll_ready` before it that returned `Ready(Ok(()))`"),
        };
        if !permit.start() {
            permit = self.readmit()?;
        }
        let future = self.inner.call(request);
        Ok((future, permit))
    }

    /// The circuit changed since `poll_ready`: asks again.
    #[cold]
    fn readmit(&mut self) -> Result<Permit, Rejected>
    where
        S: Clone,
    {
        Permit::begin(&self.circuit).inspect_err(|_| {
            // The inner service said Ready and may hold a permit of its own for a call that does not come. Only
            // its drop gives that back.
            self.inner = self.inner.clone();
        })
    }
}

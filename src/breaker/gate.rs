//! The readiness of a service behind a circuit: who is let in, and when the inner service is asked.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tower::Service;

use super::circuit::Circuit;
use super::machine::{Admission, Refusal};
use super::permit::Permit;
use super::wait::{Wait, poll_admit};
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
    /// Waits for the verdict of a half-open circuit.
    Waiting(Wait),
    /// Let in by a circuit that lets everybody in; the inner service may have said Ready.
    Passing(Admission),
    /// Let in as a probe.
    Probing(Permit),
    /// The next call is refused.
    Refused(Refusal),
}

/// Readiness is not shared: a clone asks for itself.
impl<S: Clone> Clone for Gate<S> {
    #[inline]
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
        if !matches!(self.ready, Ready::Passing(_)) {
            match self.circuit.machine.pass() {
                Some(admission) => self.ready = Ready::Passing(admission),
                None => {
                    if ready!(self.poll_slowly(cx)) {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
        let polled = ready!(self.inner.poll_ready(cx));
        if polled.is_err() {
            self.ready = Ready::Not;
        }
        Poll::Ready(polled)
    }

    /// Asks a circuit that does not let everybody in. Whether it refused: then the inner service is not asked.
    #[cold]
    fn poll_slowly(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut wait = match std::mem::replace(&mut self.ready, Ready::Not) {
            probing @ Ready::Probing(_) => {
                self.ready = probing;
                return Poll::Ready(false);
            }
            Ready::Waiting(wait) => Some(wait),
            Ready::Not | Ready::Passing(_) | Ready::Refused(_) => None,
        };
        let polled = poll_admit(&self.circuit, &mut wait, cx);
        self.ready = match polled {
            Poll::Pending => wait.map_or(Ready::Not, Ready::Waiting),
            Poll::Ready(Err(refusal)) => Ready::Refused(refusal),
            Poll::Ready(Ok(admission)) if admission.is_probe() => {
                Ready::Probing(Permit::reserve(Arc::clone(&self.circuit), admission))
            }
            Poll::Ready(Ok(admission)) => Ready::Passing(admission),
        };
        polled.map(|admitted| admitted.is_err())
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
        let permit = match std::mem::replace(&mut self.ready, Ready::Not) {
            Ready::Passing(admission) => Permit::reserve(Arc::clone(&self.circuit), admission).start(),
            Ready::Probing(permit) => permit.start(),
            Ready::Refused(refusal) => return Err(self.circuit.refuse(refusal)),
            Ready::Not | Ready::Waiting(_) => {
                panic!("`call` without `poll_ready` before it that returned `Ready(Ok(()))`")
            }
        };
        let permit = match permit {
            Some(permit) => permit,
            None => self.readmit()?,
        };
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

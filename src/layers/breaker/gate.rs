//! Readiness and admission of a service behind a circuit.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tower::Service;

use super::circuit::Circuit;
use super::machine::{Admission, Refusal};
use super::permit::Permit;
use super::wait::{Wait, WaitMode, poll_admit};
use crate::base::clock;
use crate::base::error::Rejected;
use crate::signal::Place;

/// A service instance and its permit, if it has one.
#[derive(Debug)]
pub(super) struct Gate<S> {
    inner: S,
    circuit: Arc<Circuit>,
    wait_mode: WaitMode,
    /// The admission by a closed circuit; the inner service may be ready. Separate from `ready` to avoid a store-forwarding
    /// stall on the hot path.
    passing: Option<Admission>,
    ready: Ready,
    /// The resources that a drop must release. Separate, so that a call through a closed circuit has nothing to drop.
    held: Option<Held>,
}

#[derive(Clone, Copy, Debug)]
enum Ready {
    Not,
    /// Admitted as a probe, with its permit.
    Probing,
    /// The next call is refused.
    Refused(Refusal),
}

#[derive(Debug)]
enum Held {
    Permit(Permit),
    /// A place in the queue.
    Wait(Wait),
}

/// Readiness is not shared: a clone starts without it.
impl<S: Clone> Clone for Gate<S> {
    #[inline]
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.circuit), self.wait_mode)
    }
}

impl<S> Gate<S> {
    #[inline]
    pub(super) fn new(inner: S, circuit: Arc<Circuit>, wait_mode: WaitMode) -> Self {
        Self { inner, circuit, wait_mode, passing: None, ready: Ready::Not, held: None }
    }

    /// Counts a call whose response is a `Res`, if that has a status that the default classifier does not read.
    #[inline(always)]
    pub(super) fn see<Res>(&self) {
        self.circuit.see::<Res>(Place::Layer);
    }

    #[inline]
    pub(super) fn poll_ready<Req>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<Req> + Clone,
    {
        if !self.passing.is_some_and(|admission| self.circuit.machine.is_current(admission)) {
            if self.held.is_none()
                && let Some(admission) = self.circuit.machine.pass()
            {
                self.passing = Some(admission);
            } else {
                if self.passing.is_some() {
                    self.replace_inner();
                }
                if ready!(self.poll_slowly(cx)) {
                    return Poll::Ready(Ok(()));
                }
            }
        }
        let polled = ready!(self.inner.poll_ready(cx));
        if polled.is_err() {
            self.passing = None;
            self.ready = Ready::Not;
            self.held = None;
        }
        Poll::Ready(polled)
    }

    /// Replaces the inner service, which may have reserved capacity for a call that does not come. Only its drop releases
    /// that.
    #[cold]
    fn replace_inner(&mut self)
    where
        S: Clone,
    {
        self.passing = None;
        self.ready = Ready::Not;
        self.inner = self.inner.clone();
    }

    /// Asks a circuit that is not closed for admission. Returns whether it refused; then the inner service is not polled.
    fn poll_slowly(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.held.is_none()
            && self.wait_mode == WaitMode::HalfOpenQueue
            && let Some(refusal) = self.circuit.machine.refuse(clock::now)
        {
            self.ready = Ready::Refused(refusal);
            return Poll::Ready(true);
        }
        let mut wait = match self.held.take() {
            permit @ Some(Held::Permit(_)) => {
                self.held = permit;
                return Poll::Ready(false);
            }
            Some(Held::Wait(wait)) => Some(wait),
            None => None,
        };
        self.ready = Ready::Not;
        let polled = poll_admit(&self.circuit, self.wait_mode, &mut wait, cx);
        self.held = wait.map(Held::Wait);
        self.ready = match polled {
            Poll::Pending => Ready::Not,
            Poll::Ready(Err(refusal)) => Ready::Refused(refusal),
            Poll::Ready(Ok(admission)) if admission.is_probe() => {
                self.held = Some(Held::Permit(Permit::reserve(Arc::clone(&self.circuit), admission)));
                Ready::Probing
            }
            Poll::Ready(Ok(admission)) => {
                self.passing = Some(admission);
                Ready::Not
            }
        };
        polled.map(|admitted| admitted.is_err())
    }

    /// Returns the inner call's future with its permit, or the refusal.
    ///
    /// # Panics
    /// If `poll_ready` was not called before, as allowed by [`Service::call`].
    #[inline(always)]
    pub(super) fn call<Req>(&mut self, request: Req) -> Result<(S::Future, Permit), Box<Rejected>>
    where
        S: Service<Req> + Clone,
    {
        let permit = match self.passing.take() {
            Some(admission) if self.circuit.machine.is_current(admission) => {
                Permit::running(Arc::clone(&self.circuit), admission)
            }
            passing => match std::mem::replace(&mut self.ready, Ready::Not) {
                // A refusal from before the admission does not count.
                Ready::Refused(refusal) if passing.is_none() => return Err(self.circuit.refuse(refusal)),
                ready => self.call_slowly(passing, ready)?,
            },
        };
        let future = self.inner.call(request);
        Ok((future, permit))
    }

    #[cold]
    fn call_slowly(&mut self, passing: Option<Admission>, ready: Ready) -> Result<Permit, Box<Rejected>>
    where
        S: Clone,
    {
        let held = self.held.take();
        match (ready, held) {
            (Ready::Probing, Some(Held::Permit(permit))) => {
                if let Some(permit) = permit.start() {
                    return Ok(permit);
                }
            }
            _ if passing.is_some() => {}
            _ => {
                panic!(
                    "the service of a circuit breaker was called before `poll_ready` returned `Ready(Ok(()))`"
                )
            }
        }
        // The circuit changed since `poll_ready`, so it is asked again.
        Permit::begin(Arc::clone(&self.circuit)).inspect_err(|_| self.replace_inner())
    }
}

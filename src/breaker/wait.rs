//! Waiting for the verdict of a half-open circuit: woken by what happens there, not by a timer that looks again.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::runtime::Handle;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Sleep, sleep};

use super::circuit::Circuit;
use super::machine::{Admission, Refusal};
use crate::clock::{self, Tick};
use crate::error::RejectReason;

/// A caller in the queue of a half-open circuit.
pub(super) struct Wait {
    circuit: Arc<Circuit>,
    /// Registered before the circuit is asked, so that nothing that happens in between is missed.
    woken: Pin<Box<OwnedNotified>>,
    /// The end of patience: the caller's own, or the circuit's with probes that hang.
    timer: Pin<Box<Sleep>>,
    until: Tick,
}

impl Wait {
    /// A place in the queue, if there is one. Nobody waits outside a runtime, where there is no timer.
    fn join(circuit: &Arc<Circuit>) -> Option<Self> {
        Handle::try_current().ok()?;
        let patience = circuit.machine.join_queue()?;
        Some(Self {
            woken: listen(circuit),
            timer: Box::pin(sleep(patience)),
            until: clock::now() + patience,
            circuit: Arc::clone(circuit),
        })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.circuit.machine.leave_queue();
    }
}

fn listen(circuit: &Circuit) -> Pin<Box<OwnedNotified>> {
    let mut woken = Box::pin(Arc::clone(circuit.waiters()).notified_owned());
    woken.as_mut().enable();
    woken
}

/// Lets a call in, now or when it was its turn; `wait` is its place in the queue, kept between polls.
pub(super) fn poll_admit(
    circuit: &Arc<Circuit>,
    wait: &mut Option<Wait>,
    cx: &mut Context<'_>,
) -> Poll<Result<Admission, Refusal>> {
    loop {
        let refusal = match circuit.admit() {
            Err(refusal) if refusal.reason == RejectReason::ProbesTaken => refusal,
            decided => {
                *wait = None;
                return Poll::Ready(decided);
            }
        };
        let Some(waiting) = wait else {
            match Wait::join(circuit) {
                Some(joined) => *wait = Some(joined),
                None => return Poll::Ready(Err(refusal)),
            }
            continue;
        };
        let now = clock::now();
        if now >= waiting.until {
            *wait = None;
            return Poll::Ready(Err(refusal));
        }
        if waiting.woken.as_mut().poll(cx).is_ready() {
            waiting.woken = listen(circuit);
            continue;
        }
        // Probes that hang until then are found out by whoever asks next: that may be this caller.
        let left = waiting.until.since(now).min(refusal.retry_after.unwrap_or_default());
        let at = tokio::time::Instant::now() + left;
        if waiting.timer.deadline() != at {
            waiting.timer.as_mut().reset(at);
        }
        ready!(waiting.timer.as_mut().poll(cx));
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("circuit", &self.circuit.name).finish_non_exhaustive()
    }
}

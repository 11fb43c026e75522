//! Waiting for admission: woken by changes of the circuit, without polling by a timer.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Sleep, sleep};

use super::circuit::Circuit;
use super::machine::{Admission, Refusal};
use crate::base::clock::{self, Tick};
use crate::base::error::RejectReason;

/// How long a caller waits for admission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum WaitMode {
    /// Until a half-open circuit decides, in its queue. An open circuit refuses at once.
    #[default]
    HalfOpenQueue,
    /// Until the circuit admits the call.
    UntilAdmitted,
}

/// A waiting caller.
pub(super) struct Wait {
    circuit: Arc<Circuit>,
    /// Registered before the call to `admit`, so that no change in between is missed.
    woken: Pin<Box<OwnedNotified>>,
    /// The time at which the circuit may admit the call without a notification.
    timer: Pin<Box<Sleep>>,
    /// The end of the maximum wait in the queue.
    until: Option<Tick>,
}

impl Wait {
    /// Joins the queue, if there is room. Outside a runtime there is no timer, so no caller waits.
    fn join(circuit: &Arc<Circuit>, mode: WaitMode) -> Option<Self> {
        Handle::try_current().ok()?;
        let until = match mode {
            WaitMode::HalfOpenQueue => Some(clock::now() + circuit.machine.join_queue()?),
            WaitMode::UntilAdmitted => None,
        };
        let timer = Box::pin(sleep(Duration::ZERO));
        Some(Self { woken: listen(circuit), timer, until, circuit: Arc::clone(circuit) })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if self.until.is_some() {
            self.circuit.machine.leave_queue();
        }
    }
}

fn listen(circuit: &Circuit) -> Pin<Box<OwnedNotified>> {
    let mut woken = Box::pin(Arc::clone(circuit.waiters()).notified_owned());
    woken.as_mut().enable();
    woken
}

/// Admits a call, at once or after a wait. `wait` is the waiting caller, kept between polls.
pub(super) fn poll_admit(
    circuit: &Arc<Circuit>,
    mode: WaitMode,
    wait: &mut Option<Wait>,
    cx: &mut Context<'_>,
) -> Poll<Result<Admission, Refusal>> {
    loop {
        let refusal = match circuit.admit() {
            Err(refusal)
                if mode == WaitMode::UntilAdmitted || refusal.reason == RejectReason::ProbesTaken =>
            {
                refusal
            }
            decided => {
                *wait = None;
                return Poll::Ready(decided);
            }
        };
        let Some(waiting) = wait else {
            match Wait::join(circuit, mode) {
                Some(joined) => *wait = Some(joined),
                None => return Poll::Ready(Err(refusal)),
            }
            continue;
        };
        let now = clock::now();
        if waiting.until.is_some_and(|until| now >= until) {
            *wait = None;
            return Poll::Ready(Err(refusal));
        }
        if waiting.woken.as_mut().poll(cx).is_ready() {
            waiting.woken = listen(circuit);
            continue;
        }
        let in_queue = waiting.until.map(|until| until.since(now));
        // The end of the wait of an open circuit, or of the maximum wait for probes: the next call to `admit` changes the
        // state. Zero or none while a health probe or an operator decides: both notify.
        let changing = refusal.retry_after.filter(|left| !left.is_zero());
        let Some(left) = in_queue.into_iter().chain(changing).min() else { return Poll::Pending };
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

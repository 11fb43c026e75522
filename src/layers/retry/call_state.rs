//! The state of one call across its attempts.

use std::time::Duration;

use super::attempt::Attempt;
use super::policy::{Policy, now};
use super::settings::RetrySettings;
use super::snapshot::GiveUp;
use crate::base::clock::Tick;
use crate::base::error::TimedOut;
use crate::base::outcome::{FailureKind, is_timing_out};
use crate::layers::attempts::{self, ErrorText, RetryId};

/// The state of one call. The policy is passed to each method, so that the state need not hold a reference to it.
#[derive(Debug)]
pub(super) struct CallState {
    /// Zero if the clock was not read.
    began: Tick,
    attempt_began: Tick,
    /// The running attempt, counted from 1.
    pub(super) number: u32,
    /// The maximum number of attempts when the call began.
    most: u32,
    /// The number of backoffs since the first attempt, or since the server set the delay.
    pub(super) backoffs: u32,
    /// The last backoff.
    pub(super) backoff: Duration,
    pub(super) settled: bool,
    /// Whether a record holds failed attempts of this call.
    pub(super) recorded: bool,
}

/// The time at which a running attempt is cancelled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) until: Tick,
    /// Whether this is the deadline of the whole call.
    pub(super) is_deadline: bool,
}

impl CallState {
    /// Starts a call with its first attempt. The clock is read only if a limit needs it, or if the service gets the elapsed
    /// time (`needs_elapsed`).
    #[inline]
    pub(super) fn begin(policy: &Policy, needs_elapsed: bool) -> Self {
        let now = if policy.timed() || needs_elapsed { now() } else { Tick::default() };
        Self {
            began: now,
            attempt_began: now,
            number: 1,
            most: policy.max_attempts(),
            backoffs: 0,
            backoff: Duration::ZERO,
            settled: false,
            recorded: false,
        }
    }

    /// Called when the running attempt is pending. Uses the current time as its start if the clock was not read before.
    #[inline]
    pub(super) fn on_pending(&mut self) {
        if attempts::is_recording() && self.attempt_began == Tick::default() {
            self.attempt_began = now();
        }
    }

    /// Records the failure of the running attempt, if a record is open.
    #[inline]
    pub(super) fn record_failure(&mut self, kind: FailureKind, text: impl FnOnce() -> ErrorText) {
        if attempts::is_recording() {
            let is_first = self.number == 1;
            self.recorded |= attempts::record_failure(self.id(), is_first, self.attempt_began, kind, text);
        }
    }

    pub(super) fn id(&self) -> RetryId {
        RetryId::of(self)
    }

    /// Called when the call is dropped before its end.
    pub(super) fn on_drop(&self, policy: &Policy) {
        if is_timing_out() {
            policy.counters.give_up(GiveUp::Deadline);
        } else {
            policy.counters.cancelled();
        }
        if self.recorded {
            attempts::dropped(self.id());
        }
    }

    pub(super) fn start_next_attempt(&mut self, policy: &Policy) {
        self.number += 1;
        self.attempt_began = now();
        if self.recorded {
            attempts::started(self.id(), self.attempt_began);
        }
        policy.counters.retry();
    }

    #[inline]
    pub(super) fn attempt(&self) -> Attempt {
        Attempt { number: self.number, elapsed: self.attempt_began.since(self.began) }
    }

    /// Whether the running attempt is the last allowed one.
    #[inline]
    pub(super) fn is_last(&self) -> bool {
        self.number >= self.most
    }

    #[inline]
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// The limit that ends the running attempt. A call that began before there was a limit has none.
    pub(super) fn limit(&self, policy: &Policy) -> Option<Limit> {
        if !policy.timed() {
            return None;
        }
        let settings = policy.settings.load();
        let timeout = settings.attempt_timeout.filter(|_| self.attempt_began != Tick::default());
        let attempt = timeout.map(|timeout| self.attempt_began + timeout);
        match (self.deadline_of(&settings), attempt) {
            (Some(deadline), Some(attempt)) if attempt < deadline => {
                Some(Limit { until: attempt, is_deadline: false })
            }
            (Some(deadline), _) => Some(Limit { until: deadline, is_deadline: true }),
            (None, Some(attempt)) => Some(Limit { until: attempt, is_deadline: false }),
            (None, None) => None,
        }
    }

    /// When the whole call must have ended.
    pub(super) fn deadline_of(&self, settings: &RetrySettings) -> Option<Tick> {
        let deadline = settings.deadline.filter(|_| self.began != Tick::default());
        deadline.map(|deadline| self.began + deadline)
    }

    /// The error for an attempt that a limit ended.
    pub(super) fn timed_out(policy: &Policy, is_deadline: bool) -> TimedOut {
        let settings = policy.settings.load();
        let timed_out = if is_deadline {
            TimedOut::new("a call with all its attempts", "deadline", settings.deadline.unwrap_or_default())
        } else {
            TimedOut::new("an attempt", "attempt_timeout", settings.attempt_timeout.unwrap_or_default())
        };
        timed_out.by_retry(&policy.name)
    }

    /// Called when the call succeeded or its outcome is ignored.
    #[inline]
    pub(super) fn succeed(&mut self, policy: &Policy) {
        self.settled = true;
        if self.number == 1 {
            policy.budget.succeeded(now);
        } else {
            policy.counters.late_success();
            if self.recorded {
                attempts::succeeded(self.id());
            }
        }
    }
}

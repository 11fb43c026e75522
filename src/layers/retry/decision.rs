//! Decides whether a failed call is retried, and when.

use std::time::Duration;

use super::attempt_result::{AttemptResult, ServerDelay};
use super::call_state::CallState;
use super::policy::{Policy, now};
use super::settings::RetrySettings;
use super::snapshot::GiveUp;
use crate::base::outcome::{FailureKind, Outcome};
use crate::layers::attempts;

impl CallState {
    /// Returns the wait before the next attempt, or `None` if the running attempt, which failed as `kind`, was the last.
    /// `has_copy` is set if a copy of the request is left to send.
    pub(super) fn decide<O>(
        &mut self,
        policy: &Policy,
        result: &AttemptResult<O>,
        kind: FailureKind,
        has_copy: bool,
    ) -> Option<Duration> {
        match self.allow(policy, result, kind, has_copy) {
            Ok(wait) => {
                tracing::debug!(
                    target: "campanile::retry",
                    retry = &*policy.name,
                    attempt = self.number,
                    failure = kind.as_str(),
                    wait_ms = wait.as_secs_f64() * 1_000.0,
                    "an attempt failed, and another one follows",
                );
                Some(wait)
            }
            Err(why) => {
                if why != GiveUp::Budget {
                    self.count_failed_call(policy);
                }
                self.give_up(policy, kind, why);
                None
            }
        }
    }

    /// The deadline has ended the running attempt and the call.
    pub(super) fn expire(&mut self, policy: &Policy) {
        self.count_failed_call(policy);
        self.give_up(policy, FailureKind::Timeout, GiveUp::Deadline);
    }

    /// Counts a call whose first attempt failed, unless [`Budget::withdraw`](super::budget::Budget::withdraw) counts it.
    fn count_failed_call(&self, policy: &Policy) {
        if self.number == 1 {
            policy.budget.failed(now);
        }
    }

    /// The budget comes last, so that it does not pay for a retry that another rule forbids.
    fn allow<O>(
        &mut self,
        policy: &Policy,
        result: &AttemptResult<O>,
        kind: FailureKind,
        has_copy: bool,
    ) -> Result<Duration, GiveUp> {
        if kind == FailureKind::Rejected || result.veto == Some(GiveUp::Rejected) {
            return Err(GiveUp::Rejected);
        }
        if matches!(result.outcome, Outcome::Permanent(_)) {
            return Err(GiveUp::Permanent);
        }
        if let Some(veto) = result.veto {
            return Err(veto);
        }
        if self.is_last() {
            return Err(GiveUp::Attempts);
        }
        if !has_copy {
            return Err(GiveUp::Body);
        }
        let settings = policy.settings.load();
        let wait = self.next_wait(&settings, result.server_delay);
        let now = now();
        if self.deadline_of(&settings).is_some_and(|deadline| now + wait >= deadline) {
            return Err(GiveUp::Deadline);
        }
        if policy.budget.withdraw(now, self.number == 1) { Ok(wait) } else { Err(GiveUp::Budget) }
    }

    /// The wait before the next attempt.
    fn next_wait(&mut self, settings: &RetrySettings, server_delay: Option<ServerDelay>) -> Duration {
        let cap = settings.retry_after_cap;
        let at_least = match server_delay {
            Some(ServerDelay::Exactly(delay)) if delay <= cap => {
                (self.backoffs, self.backoff) = (0, Duration::ZERO);
                return delay;
            }
            Some(ServerDelay::Exactly(delay) | ServerDelay::AtLeast(delay)) => delay.min(cap),
            None => Duration::ZERO,
        };
        self.backoff = settings.backoff.delay(self.backoffs, self.backoff);
        self.backoffs += 1;
        self.backoff.max(at_least)
    }

    /// The call has failed for good.
    pub(super) fn give_up(&mut self, policy: &Policy, kind: FailureKind, why: GiveUp) {
        self.settled = true;
        if self.recorded {
            attempts::gave_up(self.id());
        }
        policy.counters.give_up(why);
        let (retry, attempt, failure, reason) = (&*policy.name, self.number, kind.as_str(), why.as_str());
        match why {
            GiveUp::Attempts | GiveUp::Deadline | GiveUp::Budget => {
                tracing::warn!(target: "campanile::retry", retry, attempt, failure, reason, "a call failed for good: the retry may not try it again");
            }
            _ => tracing::debug!(
                target: "campanile::retry",
                retry,
                attempt,
                failure,
                reason,
                "a call failed and is not tried again"
            ),
        }
    }
}

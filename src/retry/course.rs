//! The rules of one handle, and how one call stands under them.

use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use super::settings::RetrySettings;
use super::snapshot::{GiveUp, Tally};
use crate::clock::{self, Tick};
use crate::error::TimedOut;
use crate::outcome::{FailureKind, Outcome};
use crate::signal::{self, Emit, Source};

/// What all calls of one handle share.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) name: Arc<str>,
    pub(super) settings: RetrySettings,
    budget: Option<Budget>,
    pub(super) tally: Tally,
}

/// Which attempt a request is: among the extensions of the request that an HTTP layer passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    number: u32,
    elapsed: Duration,
}

/// One call on its way.
#[derive(Debug)]
pub(super) struct Course {
    rules: Arc<Rules>,
    began: Tick,
    /// The attempt under way, counted from 1.
    number: u32,
    attempt_began: Tick,
    /// The wait before it.
    waited: Duration,
    settled: bool,
}

/// What an attempt came to.
#[derive(Debug)]
pub(super) struct Judged<O> {
    /// What the caller gets if this was the last attempt.
    pub(super) output: O,
    pub(super) outcome: Outcome,
    /// What forbids another attempt, if it failed.
    pub(super) veto: Option<GiveUp>,
    /// The service asked not to be called before this time is over.
    pub(super) not_before: Option<Duration>,
}

/// What ends an attempt that hangs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) until: Tick,
    /// It is the deadline of the whole call.
    pub(super) is_final: bool,
}

// ===== impl Rules =====

impl Rules {
    pub(super) fn new(name: Arc<str>, settings: RetrySettings) -> Self {
        Self { name, budget: settings.budget.map(Budget::new), settings, tally: Tally::default() }
    }
}

impl Source for Rules {
    fn observe(&self, emit: &mut Emit<'_>) {
        #[allow(clippy::cast_precision_loss)] // Counts of calls stay far below 2^52.
        let float = |count: u64| count as f64;
        let counted = self.tally.snapshot();
        let outcomes =
            [("success", counted.successes), ("failure", counted.failures), ("cancelled", counted.cancelled)];
        for (outcome, calls) in outcomes {
            emit(&signal::RETRY_CALLS, float(calls), &[("retry", &self.name), ("outcome", outcome)]);
        }
        emit(&signal::RETRY_ATTEMPTS, float(counted.retries), &[("retry", &self.name)]);
        for (why, calls) in counted.given_up {
            let attributes = [("retry", &*self.name), ("reason", why.as_str())];
            emit(&signal::RETRY_GIVEN_UP, float(calls), &attributes);
        }
    }
}

// ===== impl Attempt =====

impl Attempt {
    /// Its number: 1 is the first.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// How long the call had lasted when the attempt began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

// ===== impl Course =====

impl Course {
    /// A call begins with its first attempt.
    #[inline]
    pub(super) fn begin(rules: &Arc<Rules>) -> Self {
        let now = clock::now();
        if let Some(budget) = &rules.budget {
            budget.deposit(now);
        }
        Self {
            rules: Arc::clone(rules),
            began: now,
            number: 1,
            attempt_began: now,
            waited: Duration::ZERO,
            settled: false,
        }
    }

    /// The next attempt begins.
    pub(super) fn advance(&mut self) {
        self.number += 1;
        self.attempt_began = clock::now();
        self.rules.tally.retry();
    }

    pub(super) fn attempt(&self) -> Attempt {
        Attempt { number: self.number, elapsed: self.attempt_began.since(self.began) }
    }

    /// Whether no other attempt can follow this one.
    #[inline]
    pub(super) fn is_last(&self) -> bool {
        self.number >= self.rules.settings.max_attempts
    }

    /// What ends the attempt under way.
    pub(super) fn limit(&self) -> Option<Limit> {
        let attempt = self.rules.settings.attempt_timeout.map(|timeout| self.attempt_began + timeout);
        match (self.deadline(), attempt) {
            (Some(deadline), Some(attempt)) if attempt < deadline => {
                Some(Limit { until: attempt, is_final: false })
            }
            (Some(deadline), _) => Some(Limit { until: deadline, is_final: true }),
            (None, Some(attempt)) => Some(Limit { until: attempt, is_final: false }),
            (None, None) => None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        self.rules.settings.deadline.map(|deadline| self.began + deadline)
    }

    /// The error for an attempt that a limit ended.
    pub(super) fn timed_out(&self, is_final: bool) -> TimedOut {
        let settings = &self.rules.settings;
        if is_final {
            TimedOut::new("deadline for all attempts", settings.deadline.unwrap_or_default())
        } else {
            TimedOut::new("time for one attempt", settings.attempt_timeout.unwrap_or_default())
        }
    }

    /// The wait before the next attempt, or `None` when this one was the last; `copied` tells whether there is
    /// a request to send again.
    pub(super) fn weigh<O>(&mut self, judged: &Judged<O>, copied: bool) -> Option<Duration> {
        let kind = match judged.outcome {
            Outcome::Success | Outcome::Ignored => {
                self.settled = true;
                self.rules.tally.success();
                return None;
            }
            Outcome::Failure(kind) | Outcome::Permanent(kind) => kind,
        };
        match self.allow(judged, kind, copied) {
            Ok(wait) => {
                tracing::debug!(
                    retry = &*self.rules.name,
                    attempt = self.number,
                    failure = kind.as_str(),
                    wait_ms = wait.as_secs_f64() * 1_000.0,
                    "attempt failed, another will follow",
                );
                self.waited = wait;
                Some(wait)
            }
            Err(why) => {
                self.give_up(kind, why);
                None
            }
        }
    }

    /// The budget comes last: it must not pay for a retry that something else forbids.
    fn allow<O>(&self, judged: &Judged<O>, kind: FailureKind, copied: bool) -> Result<Duration, GiveUp> {
        if kind == FailureKind::Rejected {
            return Err(GiveUp::Rejected);
        }
        if let Some(veto) = judged.veto {
            return Err(veto);
        }
        if matches!(judged.outcome, Outcome::Permanent(_)) {
            return Err(GiveUp::Permanent);
        }
        if self.is_last() {
            return Err(GiveUp::Attempts);
        }
        if !copied {
            return Err(GiveUp::Body);
        }
        let settings = &self.rules.settings;
        let asked = judged.not_before.map_or(Duration::ZERO, |wait| wait.min(settings.retry_after_cap));
        let wait = settings.backoff.delay(self.number - 1, self.waited).max(asked);
        let now = clock::now();
        if self.deadline().is_some_and(|deadline| now + wait >= deadline) {
            return Err(GiveUp::Deadline);
        }
        match &self.rules.budget {
            Some(budget) if !budget.withdraw(now) => Err(GiveUp::Budget),
            _ => Ok(wait),
        }
    }

    /// The call has failed for good.
    pub(super) fn give_up(&mut self, kind: FailureKind, why: GiveUp) {
        self.settled = true;
        self.rules.tally.give_up(why);
        let (retry, attempt, failure, reason) = (&*self.rules.name, self.number, kind.as_str(), why.as_str());
        match why {
            GiveUp::Attempts | GiveUp::Deadline | GiveUp::Budget => {
                tracing::warn!(retry, attempt, failure, reason, "call failed for good");
            }
            _ => tracing::debug!(retry, attempt, failure, reason, "call failed and is not tried again"),
        }
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        if !self.settled {
            self.rules.tally.cancelled();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Retry;
    use crate::signal;

    #[tokio::test(start_paused = true)]
    async fn what_is_counted_reaches_the_metrics() {
        let retry = Retry::builder().name("for the metrics").max_attempts(2).build().unwrap();
        retry.run(|| async { Ok::<_, &str>(()) }).await.unwrap();
        retry.run(|| async { Err::<(), _>("broken") }).await.unwrap_err();
        let mut seen = Vec::new();
        signal::observe(&mut |metric, value, attributes| {
            if attributes.first() == Some(&("retry", "for the metrics")) && value > 0.0 {
                seen.push((metric.name, attributes.get(1).map_or("", |(_, value)| value).to_owned(), value));
            }
            assert!(attributes.iter().all(|(key, _)| metric.attributes.contains(key)));
        });
        let expected = [
            (signal::RETRY_CALLS.name, "success", 1.0),
            (signal::RETRY_CALLS.name, "failure", 1.0),
            (signal::RETRY_ATTEMPTS.name, "", 1.0),
            (signal::RETRY_GIVEN_UP.name, "attempts", 1.0),
        ];
        assert_eq!(seen, expected.map(|(name, attribute, value)| (name, attribute.to_owned(), value)));
    }
}

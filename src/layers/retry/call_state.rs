//! The rules of one handle, and the state of one call under them.

use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use super::settings::RetrySettings;
use super::snapshot::{GiveUp, RetrySnapshot, Tally};
use crate::base::clock::{self, Tick};
use crate::base::error::TimedOut;
use crate::base::outcome::{FailureKind, Outcome, is_for_time};
use crate::layers::attempts::{self, Said};
use crate::signal::{self, Emit, Source};

/// What all calls of one handle share.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) name: Arc<str>,
    pub(super) settings: RetrySettings,
    /// Some limit needs to know when an attempt began.
    timed: bool,
    budget: Budget,
    tally: Tally,
}

/// Which attempt a request is: among the extensions of the request that an HTTP layer passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    number: u32,
    elapsed: Duration,
}

/// The state of one call. The rules are passed to each method, so that it need not hold a reference to them.
#[derive(Debug)]
pub(super) struct CallState {
    /// Zero if no limit needs it.
    began: Tick,
    attempt_began: Tick,
    /// The attempt under way, counted from 1.
    number: u32,
    /// The backoffs since the first attempt, or since the service said how long to wait.
    backoffs: u32,
    /// The last of them.
    backoff: Duration,
    settled: bool,
    /// A record holds failed attempts of this call.
    told: bool,
}

/// The result of an attempt.
#[derive(Debug)]
pub(super) struct Judged<O> {
    /// The caller's result if this was the last attempt.
    pub(super) output: O,
    pub(super) outcome: Outcome,
    /// What forbids another attempt, if it failed.
    pub(super) veto: Option<GiveUp>,
    /// The delay that the service asks for.
    pub(super) asked: Option<Asked>,
}

/// The delay that a service asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// At least this long.
    AtLeast(Duration),
    /// Exactly this long; the backoff starts again after it.
    Exactly(Duration),
}

/// The limit that ends an attempt that hangs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) until: Tick,
    /// It is the deadline of the whole call.
    pub(super) is_final: bool,
}

// ===== impl Rules =====

impl Rules {
    pub(super) fn new(name: Arc<str>, settings: RetrySettings) -> Self {
        Self {
            name,
            timed: settings.deadline.is_some() || settings.attempt_timeout.is_some(),
            budget: Budget::new(settings.budget),
            tally: Tally::default(),
            settings,
        }
    }

    pub(super) fn snapshot(&self) -> RetrySnapshot {
        self.tally.snapshot(self.budget.successes(), self.budget.left(now()))
    }

    /// A call ended without a result.
    pub(super) fn cancelled(&self) {
        self.tally.cancelled();
    }
}

impl Source for Rules {
    fn observe(&self, emit: &mut Emit<'_>) {
        #[allow(clippy::cast_precision_loss)] // Counts of calls stay far below 2^52.
        let float = |count: u64| count as f64;
        let counted = self.snapshot();
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
        if let Some(left) = counted.budget_left {
            emit(&signal::RETRY_BUDGET, float(left), &[("retry", &self.name)]);
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

    /// How often the request was sent before: 0 for the first attempt. OpenTelemetry's `http.request.resend_count`.
    #[must_use]
    pub fn resend_count(&self) -> u32 {
        self.number - 1
    }

    /// How long the call had lasted when the attempt began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

// ===== impl CallState =====

/// Kept out of line, since most calls do not need it.
#[inline(never)]
fn now() -> Tick {
    clock::now()
}

impl CallState {
    /// Starts a call with its first attempt. The clock is read only if a limit needs it, or if the service is told the
    /// elapsed time (`told`).
    #[inline]
    pub(super) fn begin(rules: &Rules, told: bool) -> Self {
        let now = if rules.timed || told { now() } else { Tick::default() };
        Self {
            began: now,
            attempt_began: now,
            number: 1,
            backoffs: 0,
            backoff: Duration::ZERO,
            settled: false,
            told: false,
        }
    }

    /// The running attempt is pending: takes the time now as its start, if no limit took it earlier.
    #[inline]
    pub(super) fn waits(&mut self) {
        if attempts::wanted() && self.attempt_began == Tick::default() {
            self.attempt_began = now();
        }
    }

    /// Records the failure of the running attempt, if a record is open.
    #[inline]
    pub(super) fn tell(&mut self, kind: FailureKind, said: impl FnOnce() -> Said) {
        if attempts::wanted() {
            self.told |= attempts::failed(self.id(), self.number == 1, self.attempt_began, kind, said);
        }
    }

    fn id(&self) -> attempts::RetryId {
        attempts::RetryId::of(self)
    }

    /// The call was dropped before its end.
    pub(super) fn drop_midway(&self, rules: &Rules) {
        if is_for_time() {
            rules.tally.give_up(GiveUp::Deadline);
        } else {
            rules.cancelled();
        }
        if self.told {
            attempts::is_dropped(self.id());
        }
    }

    /// The next attempt begins.
    pub(super) fn advance(&mut self, rules: &Rules) {
        self.number += 1;
        self.attempt_began = now();
        if self.told {
            attempts::begins(self.id(), self.attempt_began);
        }
        rules.tally.retry();
    }

    #[inline]
    pub(super) fn attempt(&self) -> Attempt {
        Attempt { number: self.number, elapsed: self.attempt_began.since(self.began) }
    }

    /// Whether no other attempt can follow this one.
    #[inline]
    pub(super) fn is_last(&self, rules: &Rules) -> bool {
        self.number >= rules.settings.max_attempts
    }

    #[inline]
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// What ends the attempt under way.
    pub(super) fn limit(&self, rules: &Rules) -> Option<Limit> {
        let attempt = rules.settings.attempt_timeout.map(|timeout| self.attempt_began + timeout);
        match (self.deadline(rules), attempt) {
            (Some(deadline), Some(attempt)) if attempt < deadline => {
                Some(Limit { until: attempt, is_final: false })
            }
            (Some(deadline), _) => Some(Limit { until: deadline, is_final: true }),
            (None, Some(attempt)) => Some(Limit { until: attempt, is_final: false }),
            (None, None) => None,
        }
    }

    pub(super) fn deadline(&self, rules: &Rules) -> Option<Tick> {
        rules.settings.deadline.map(|deadline| self.began + deadline)
    }

    /// The error for an attempt that a limit ended.
    pub(super) fn timed_out(rules: &Rules, is_final: bool) -> TimedOut {
        let settings = &rules.settings;
        if is_final {
            TimedOut::new("call with all its attempts", settings.deadline.unwrap_or_default())
        } else {
            TimedOut::new("attempt", settings.attempt_timeout.unwrap_or_default())
        }
    }

    /// The call succeeded, or its outcome is ignored.
    #[inline]
    pub(super) fn succeed(&mut self, rules: &Rules) {
        self.settled = true;
        if self.number == 1 {
            rules.budget.succeeded(now);
        } else {
            rules.tally.late_success();
            if self.told {
                attempts::gets_through(self.id());
            }
        }
    }

    /// The wait before the next attempt, or `None` if this one, which failed as `kind`, was the last. `copied` tells
    /// whether a copy of the request is left to send.
    pub(super) fn weigh<O>(
        &mut self,
        rules: &Rules,
        judged: &Judged<O>,
        kind: FailureKind,
        copied: bool,
    ) -> Option<Duration> {
        match self.allow(rules, judged, kind, copied) {
            Ok(wait) => {
                tracing::debug!(
                    target: "campanile::retry",
                    retry = &*rules.name,
                    attempt = self.number,
                    failure = kind.as_str(),
                    wait_ms = wait.as_secs_f64() * 1_000.0,
                    "attempt failed, another will follow",
                );
                Some(wait)
            }
            Err(why) => {
                if why != GiveUp::Budget {
                    self.earn(rules);
                }
                self.give_up(rules, kind, why);
                None
            }
        }
    }

    /// The deadline has ended the attempt under way, and the call with it.
    pub(super) fn expire(&mut self, rules: &Rules) {
        self.earn(rules);
        self.give_up(rules, FailureKind::Timeout, GiveUp::Deadline);
    }

    /// An attempt failed, and the budget was not asked to pay for another.
    fn earn(&self, rules: &Rules) {
        if self.number == 1 {
            rules.budget.failed(now);
        }
    }

    /// The budget is asked last, so that it does not pay for a retry that something else forbids.
    fn allow<O>(
        &mut self,
        rules: &Rules,
        judged: &Judged<O>,
        kind: FailureKind,
        copied: bool,
    ) -> Result<Duration, GiveUp> {
        if kind == FailureKind::Rejected || judged.veto == Some(GiveUp::Rejected) {
            return Err(GiveUp::Rejected);
        }
        if matches!(judged.outcome, Outcome::Permanent(_)) {
            return Err(GiveUp::Permanent);
        }
        if let Some(veto) = judged.veto {
            return Err(veto);
        }
        if self.is_last(rules) {
            return Err(GiveUp::Attempts);
        }
        if !copied {
            return Err(GiveUp::Body);
        }
        let wait = self.wait(&rules.settings, judged.asked);
        let now = now();
        if self.deadline(rules).is_some_and(|deadline| now + wait >= deadline) {
            return Err(GiveUp::Deadline);
        }
        if rules.budget.withdraw(now, self.number == 1) { Ok(wait) } else { Err(GiveUp::Budget) }
    }

    /// How long to wait before the next attempt.
    fn wait(&mut self, settings: &RetrySettings, asked: Option<Asked>) -> Duration {
        let cap = settings.retry_after_cap;
        let asked = match asked {
            Some(Asked::Exactly(asked)) if asked <= cap => {
                (self.backoffs, self.backoff) = (0, Duration::ZERO);
                return asked;
            }
            Some(Asked::Exactly(asked) | Asked::AtLeast(asked)) => asked.min(cap),
            None => Duration::ZERO,
        };
        self.backoff = settings.backoff.delay(self.backoffs, self.backoff);
        self.backoffs += 1;
        self.backoff.max(asked)
    }

    /// The call has failed for good.
    pub(super) fn give_up(&mut self, rules: &Rules, kind: FailureKind, why: GiveUp) {
        self.settled = true;
        if self.told {
            attempts::gives_up(self.id());
        }
        rules.tally.give_up(why);
        let (retry, attempt, failure, reason) = (&*rules.name, self.number, kind.as_str(), why.as_str());
        match why {
            GiveUp::Attempts | GiveUp::Deadline | GiveUp::Budget => {
                tracing::warn!(target: "campanile::retry", retry, attempt, failure, reason, "call failed for good");
            }
            _ => tracing::debug!(
                target: "campanile::retry",
                retry,
                attempt,
                failure,
                reason,
                "call failed and is not tried again"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::signal;
    use crate::{Retry, RetryBudget};

    #[tokio::test(start_paused = true)]
    async fn what_is_counted_reaches_the_metrics() {
        let budget = RetryBudget::ratio(0.5).min_per_second(1);
        let retry = Retry::builder().name("for the metrics").max_attempts(2).budget(budget).build().unwrap();
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
            // Half a retry for each of two calls, ten in reserve, one taken.
            (signal::RETRY_BUDGET.name, "", 10.0),
        ];
        assert_eq!(seen, expected.map(|(name, attribute, value)| (name, attribute.to_owned(), value)));
    }
}

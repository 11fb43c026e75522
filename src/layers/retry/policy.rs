//! The state that all calls of one handle share.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::budget::Budget;
use super::counters::Counters;
use super::settings::RetrySettings;
use super::snapshot::RetrySnapshot;
use crate::base::clock::{self, Tick};
use crate::base::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::signal::{self, Emit, HandleKind, Place, Source, UnreadStatus};

/// How warnings and metrics name a retry.
const KIND: HandleKind = HandleKind { layer: "retry", kind: "retry", http_layer: "`.http_layer()`" };

/// The settings of one handle, its budget and its counters.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) name: Arc<str>,
    /// Read by calls that wait, fail or time out.
    pub(super) settings: ArcSwap<RetrySettings>,
    /// Whether a limit needs the start of each attempt. This and the next one are read by each call.
    timed: AtomicBool,
    max_attempts: AtomicU32,
    pub(super) budget: Budget,
    pub(super) counters: Counters,
    unread: UnreadStatus,
}

impl Policy {
    pub(super) fn new(name: Arc<str>, settings: RetrySettings) -> Self {
        Self {
            name,
            timed: AtomicBool::new(needs_start(&settings)),
            max_attempts: AtomicU32::new(settings.max_attempts),
            budget: Budget::new(settings.budget),
            counters: Counters::default(),
            unread: UnreadStatus::default(),
            settings: ArcSwap::from_pointee(settings),
        }
    }

    /// Replaces the settings, which must be valid. The counts of the budget stay.
    pub(super) fn replace(&self, settings: RetrySettings) {
        self.timed.store(needs_start(&settings), Ordering::Relaxed);
        self.max_attempts.store(settings.max_attempts, Ordering::Relaxed);
        self.budget.replace(settings.budget);
        self.settings.store(Arc::new(settings));
    }

    #[inline]
    pub(super) fn timed(&self) -> bool {
        self.timed.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn max_attempts(&self) -> u32 {
        self.max_attempts.load(Ordering::Relaxed)
    }

    /// Counts a call whose response is a `Res`, if that has a status that the default classifier does not read.
    #[inline(always)]
    pub(super) fn see<Res>(&self, place: Place) {
        self.unread.see::<Res>(&KIND, &self.name, place);
    }

    pub(super) fn snapshot(&self) -> RetrySnapshot {
        self.counters.snapshot(self.budget.successes(), self.budget.left(now()))
    }
}

fn needs_start(settings: &RetrySettings) -> bool {
    settings.deadline.is_some() || settings.attempt_timeout.is_some()
}

/// Not inlined, because most calls do not read the clock.
#[inline(never)]
pub(super) fn now() -> Tick {
    clock::now()
}

impl Source for Policy {
    fn observe(&self, emit: &mut Emit<'_>) {
        #[allow(clippy::cast_precision_loss)] // Counts of calls stay far below 2^52.
        let float = |count: u64| count as f64;
        let snapshot = self.snapshot();
        let outcomes = [
            ("success", snapshot.successes),
            ("failure", snapshot.failures),
            ("cancelled", snapshot.cancelled),
        ];
        for (outcome, calls) in outcomes {
            emit(&signal::RETRY_CALLS, float(calls), &[("retry", &self.name), ("outcome", outcome)]);
        }
        emit(&signal::RETRY_ATTEMPTS, float(snapshot.retries), &[("retry", &self.name)]);
        for (why, calls) in snapshot.given_up {
            let attributes = [("retry", &*self.name), ("reason", why.as_str())];
            emit(&signal::RETRY_GIVEN_UP, float(calls), &attributes);
        }
        if let Some(left) = snapshot.budget_left {
            emit(&signal::RETRY_BUDGET, float(left), &[("retry", &self.name)]);
        }
        self.unread.emit(&KIND, &self.name, emit);
    }
}

#[cfg(test)]
mod tests {
    use crate::signal;
    use crate::{Retry, RetryBudget};

    #[tokio::test(start_paused = true)]
    async fn metrics_have_the_counts() {
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
            // Two calls earn one retry. The minimum is ten. One was taken.
            (signal::RETRY_BUDGET.name, "", 10.0),
        ];
        assert_eq!(seen, expected.map(|(name, attribute, value)| (name, attribute.to_owned(), value)));
    }
}

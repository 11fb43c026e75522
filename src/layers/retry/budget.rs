//! The budget of retries over all calls.
//!
//! Backoff spreads retries over time; it does not bound their number. When a service is down, three retries per call
//! quadruple the traffic at the worst moment. A budget limits retries to a share of the calls. The rule is that of
//! Finagle's `RetryBudget`: a share of the calls of ten seconds, plus a minimum for clients with few calls.
//!
//! `TpsBudget` of tower 0.5.3 truncates `1 / ratio`: at 0.6 and at 0.7 it grants 100 retries for 100 calls.

use serde::{Deserialize, Serialize};

use crate::base::clock::Tick;
use crate::base::error::ConfigError;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// How many retries are allowed: a share of the calls of the last ten seconds, plus a minimum per second.
///
/// A call counts from the end of its first attempt, with any outcome. A call whose first attempt still runs, or was
/// cancelled, earns no retry.
///
/// # Example
/// ```
/// use campanile::retry::RetryBudget;
///
/// // One retry per five calls, and at least ten a second.
/// let budget = RetryBudget::ratio(0.2).min_per_second(10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryBudget {
    /// Retries per call, from 0 to 10.
    ratio: f64,
    /// Minimum number of retries per second, independent of traffic. Ten times as many may come at once.
    min_per_second: u32,
}

impl RetryBudget {
    /// A budget of `ratio` retries per call, from 0 to 10, and at least 10 retries a second.
    #[must_use]
    pub const fn ratio(ratio: f64) -> Self {
        Self { ratio, min_per_second: 10 }
    }

    /// Sets the minimum number of retries per second, independent of traffic.
    #[must_use]
    pub const fn min_per_second(mut self, retries: u32) -> Self {
        self.min_per_second = retries;
        self
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let Self { ratio, min_per_second: reserve } = *self;
        ConfigError::check((0.0..=10.0).contains(&ratio), "budget.ratio", ratio, "from 0 to 10")?;
        ConfigError::check(reserve <= 1_000_000, "budget.min_per_second", reserve, "at most 1,000,000")
    }

    /// The retries that `calls` earn. The ratio is rounded up to billionths: 0.6 is exact, and a third of three is one.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A ratio from 0 to 10 fits.
    fn earned(&self, calls: u64) -> u64 {
        // The subtracted 1e-4 is larger than the binary rounding error.
        let ratio = (self.ratio * 1e9 - 1e-4).ceil() as u128;
        let share = ratio * u128::from(calls) / 1_000_000_000;
        u64::try_from(share).unwrap_or(u64::MAX).saturating_add(10 * u64::from(self.min_per_second))
    }
}

impl Default for RetryBudget {
    /// The default of Finagle: a fifth of the calls, and at least 10 a second.
    fn default() -> Self {
        Self::ratio(0.2)
    }
}

/// The length of a slot in nanoseconds: 100 ms. Calls and retries are counted by slots.
const SLOT: u64 = 100_000_000;
/// The number of slots in ten seconds.
const WINDOW: u64 = 100;
/// Maximum number of successes that share a reading of the clock; also bounded to this part of the calls in the window.
const MAX_BATCH: u64 = 64;
const BATCH_PART: u64 = 256;

/// The counts of a [`RetryBudget`].
///
/// Reading the clock costs ten times as much as counting, so only one success of a batch reads it. The others get the
/// time of the reading before. So they leave the window early, never late, and the budget may be short by one batch.
#[derive(Debug)]
pub(super) struct Budget {
    /// Calls whose first attempt succeeded.
    successes: AtomicU64,
    /// The number of the next success that reads the clock; the largest number without a limit.
    next: AtomicU64,
    ledger: Mutex<Ledger>,
}

/// Calls count in the newest slot and the 99 before it. Retries count for one slot more, so that the bound holds at any
/// moment, not only at the boundaries of slots.
#[derive(Debug)]
struct Ledger {
    limit: Option<RetryBudget>,
    /// The number of successes that are in a slot.
    counted: u64,
    newest: u64,
    calls: [u64; WINDOW as usize],
    retries: [u64; WINDOW as usize + 1],
}

impl Budget {
    pub(super) fn new(settings: Option<RetryBudget>) -> Self {
        let ledger = Ledger {
            limit: settings,
            counted: 0,
            newest: 0,
            calls: [0; WINDOW as usize],
            retries: [0; WINDOW as usize + 1],
        };
        Self {
            successes: AtomicU64::new(0),
            // Without a limit no success reads the clock.
            next: AtomicU64::new(if settings.is_some() { 0 } else { u64::MAX }),
            ledger: Mutex::new(ledger),
        }
    }

    /// Replaces the limit. Calls that were counted before stay.
    pub(super) fn replace(&self, settings: Option<RetryBudget>) {
        let mut ledger = self.ledger.lock();
        if ledger.limit.is_none() && settings.is_some() {
            // What succeeded without a limit was not dated, and earns nothing.
            ledger.counted = self.successes();
        }
        ledger.limit = settings;
        self.next.store(if settings.is_some() { 0 } else { u64::MAX }, Ordering::Relaxed);
    }

    fn is_limited(&self) -> bool {
        self.next.load(Ordering::Relaxed) != u64::MAX
    }

    /// Counts a call whose first attempt succeeded.
    #[inline]
    pub(super) fn succeeded(&self, now: impl FnOnce() -> Tick) {
        let number = self.successes.fetch_add(1, Ordering::Relaxed);
        if number >= self.next.load(Ordering::Relaxed) {
            self.end_batch(number, now());
        }
    }

    #[cold]
    fn end_batch(&self, number: u64, now: Tick) {
        self.update(now, 1, 0, |_, ledger| {
            let batch = (ledger.calls.iter().sum::<u64>() / BATCH_PART).clamp(1, MAX_BATCH);
            self.next.store(number + batch, Ordering::Relaxed);
        });
    }

    /// Counts a call whose first attempt failed and that asks for no retry.
    pub(super) fn failed(&self, now: impl FnOnce() -> Tick) {
        if self.is_limited() {
            self.update(now(), 0, 1, |_, _| ());
        }
    }

    /// Takes one retry if the budget allows it. After a failed `first` attempt this counts the call too.
    pub(super) fn withdraw(&self, now: Tick, first: bool) -> bool {
        let granted = self.update(now, 0, u64::from(first), |settings, ledger| {
            let granted = ledger.left(settings) > 0;
            ledger.retries[(ledger.newest % (WINDOW + 1)) as usize] += u64::from(granted);
            granted
        });
        granted.unwrap_or(true)
    }

    /// The retries that are left; `None` without a limit.
    pub(super) fn left(&self, now: Tick) -> Option<u64> {
        self.update(now, 0, 0, |settings, ledger| ledger.left(settings))
    }

    /// The number of calls that succeeded at the first attempt.
    pub(super) fn successes(&self) -> u64 {
        self.successes.load(Ordering::Relaxed)
    }

    /// Moves the successes since the last update into slots, and counts `failures`. All failures, and `own` of the
    /// successes, count in the slot of `now`; the other successes count in the newest slot.
    fn update<T>(
        &self,
        now: Tick,
        own: u64,
        failures: u64,
        then: impl FnOnce(&RetryBudget, &mut Ledger) -> T,
    ) -> Option<T> {
        let mut ledger = self.ledger.lock();
        let settings = ledger.limit?;
        // Under the lock, no value is less than the one before.
        let successes = self.successes();
        let new = successes - std::mem::replace(&mut ledger.counted, successes);
        let (own, before, slot) = (own.min(new), ledger.newest, now.0 / SLOT);
        ledger.calls[(before % WINDOW) as usize] += new - own;
        for begun in (before + 1..=slot).rev().take(WINDOW as usize + 1) {
            ledger.calls[(begun % WINDOW) as usize] = 0;
            ledger.retries[(begun % (WINDOW + 1)) as usize] = 0;
        }
        ledger.newest = before.max(slot);
        // The thread may have been suspended since it read the clock. Then its calls may be too old.
        if ledger.newest - slot < WINDOW {
            ledger.calls[(slot % WINDOW) as usize] += own + failures;
        }
        Some(then(&settings, &mut ledger))
    }
}

impl Ledger {
    fn left(&self, settings: &RetryBudget) -> u64 {
        settings.earned(self.calls.iter().sum()).saturating_sub(self.retries.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 10 * SLOT;
    /// The start of the tests: no reading of the clock is near zero.
    const BASE: u64 = 3_600 * SECOND;

    /// The sum of the counts in the `span` that ends with `now`.
    fn within(times: &[(u64, u64)], now: u64, span: u64) -> u64 {
        times.iter().filter(|(at, _)| at + span > now).map(|(_, count)| count).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The budget never allows more than the naive count. It allows less only by a slot at the edges and one batch.
        #[test]
        fn p09_the_budget_is_the_naive_count(
            tenths in 0_u64..20,
            min_per_second in 0_u32..3,
            // A few calls at once, or enough that successes share readings of the clock.
            most in prop_oneof![Just(4_u64), Just(40), Just(4_000)],
            steps in prop::collection::vec((0_u64..3_000, [0.0..1.0, 0.0..1.0, 0.0..1.0], 0_u64..20_000), 0..60),
        ) {
            let budget = Budget::new(Some(RetryBudget { ratio: tenths as f64 / 10.0, min_per_second }));
            let earned = |calls: u64| tenths * calls + 100 * u64::from(min_per_second);
            let (mut now, mut calls, mut retries) = (BASE, Vec::new(), Vec::new());
            for (millis, shares, wanted) in steps {
                now += millis * SECOND / 1_000;
                let tick = Tick(now);
                let [succeed, fail, retry] = shares.map(|share: f64| (share.powi(3) * most as f64) as u64);
                (0..succeed).for_each(|_| budget.succeeded(|| tick));
                (0..fail).for_each(|_| budget.failed(|| tick));
                let mut taken = (0..retry).filter(|_| budget.withdraw(tick, true)).count() as u64;
                calls.push((now, succeed + fail + retry));
                let left = budget.left(tick).unwrap();
                let more = (0..wanted).take_while(|_| budget.withdraw(tick, false)).count() as u64;
                prop_assert_eq!(more, wanted.min(left));
                taken += more;
                retries.push((now, taken));
                let spent = within(&retries, now, 10 * SECOND);
                prop_assert!(taken == 0 || 10 * spent <= earned(within(&calls, now, 10 * SECOND)));
                if more < wanted {
                    let spent = within(&retries, now, 10 * SECOND + SLOT);
                    let dated = within(&calls, now, 10 * SECOND - SLOT);
                    let batch = (within(&calls, now, now) / BATCH_PART).clamp(1, MAX_BATCH);
                    prop_assert!(10 * (spent + 1) > earned(dated.saturating_sub(batch - 1)));
                }
            }
        }
    }

    #[test]
    fn p09_a_thread_that_was_suspended_after_reading_the_clock_earns_nothing() {
        let budget = Budget::new(Some(RetryBudget::ratio(1.0).min_per_second(0)));
        assert_eq!(budget.left(Tick(BASE + 20 * SECOND)), Some(0));
        budget.succeeded(|| Tick(BASE));
        budget.succeeded(|| Tick(BASE + 12 * SECOND));
        assert_eq!(budget.left(Tick(BASE + 20 * SECOND)), Some(1));
        assert_eq!(budget.left(Tick(BASE + 22 * SECOND)), Some(0));
    }
}

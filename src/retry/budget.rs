//! How many retries there may be at all.
//!
//! Backoff spreads retries; it does not bound them. When a service fails altogether, three retries a call make
//! four times the traffic at the worst moment. A budget ties the number of retries to the number of calls.
//! The rule is that of Finagle's `RetryBudget`: a share of the calls and a small reserve for clients that call
//! seldom, over ten seconds.
//!
//! A call earns when its first attempt ends, not when it begins: what hangs earns nothing, and a call that
//! succeeds pays one atomic addition for its deposit, which is its count as a success too.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::{Tick, nanos};
use crate::error::ConfigError;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};

/// How many retries are allowed: a share of the calls of the last ten seconds, and a reserve.
///
/// A call counts from the end of its first attempt, however that ended; one that still hangs, or whose caller
/// gave up on its first attempt, earns no retry.
///
/// # Example
/// ```
/// use campanile::retry::RetryBudget;
///
/// // One retry for five calls, and ten a second whatever the traffic.
/// let budget = RetryBudget::ratio(0.2).min_per_second(10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryBudget {
    /// Retries for each call: from 0 to 10.
    ratio: f64,
    /// Retries per second that need no calls; ten times as many can come at once.
    min_per_second: u32,
}

impl RetryBudget {
    /// This many retries for each call, and 10 a second.
    #[must_use]
    pub const fn ratio(ratio: f64) -> Self {
        Self { ratio, min_per_second: 10 }
    }

    /// Another reserve: so many retries a second, over ten seconds, need no calls.
    #[must_use]
    pub const fn min_per_second(mut self, retries: u32) -> Self {
        self.min_per_second = retries;
        self
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        ConfigError::check((0.0..=10.0).contains(&self.ratio), "budget.ratio", self.ratio, "from 0 to 10")?;
        ConfigError::check(
            self.min_per_second <= 1_000_000,
            "budget.min_per_second",
            self.min_per_second,
            "at most 1,000,000",
        )
    }
}

impl Default for RetryBudget {
    /// Finagle's: a fifth of the calls, and 10 a second.
    fn default() -> Self {
        Self::ratio(0.2)
    }
}

/// The window is counted in slots of this length; what is granted is less than what is earned by one slot in
/// a hundred at most.
const SLOT: Duration = Duration::from_millis(100);
/// The slots of the window: ten seconds.
const WINDOW: usize = 100;
/// The ratio is kept in billionths: 0.6 is then exactly that, which it is not in binary. Others are rounded up, so
/// that a third of three calls is one.
const WHOLE: u128 = 1_000_000_000;
/// At most so many successes in a row leave the clock alone, and never more than this part of the window's calls.
const MAX_BATCH: u64 = 64;
const BATCH_PART: u64 = 256;

/// What a [`RetryBudget`] has counted, or would have.
///
/// Reading the clock costs ten times what counting does. So a success only counts, and now and then one of
/// them, or a retry, *enters* what was counted into the window. It does not know when the others happened, only
/// that it was after the time of the last entry, and dates them then: too early, and so they never earn longer
/// than they should. How many successes share a reading of the clock follows the traffic: each has its own
/// where there is little.
///
/// Entries follow each other, so the calls that are dated too early to count at a given moment all belong to one of
/// them. So the budget is short of at most one batch, 63 successes and 63 failures, whatever the traffic was.
#[derive(Debug)]
pub(super) struct Budget {
    /// Calls whose first attempt went well.
    successes: AtomicU64,
    /// Calls whose first attempt failed.
    failures: AtomicU64,
    /// One less than a power of two. A call whose number has these bits set enters what was counted.
    batch: AtomicU64,
    limit: Option<Limit>,
}

#[derive(Debug)]
struct Limit {
    /// In billionths.
    ratio: u128,
    reserve: u128,
    ledger: Mutex<Ledger>,
}

/// The calls of the running slot and the 99 before it earn; the retries of the running slot and the 100 before it
/// are held against them. So the bound holds at any moment, not only where slots meet.
#[derive(Debug)]
struct Ledger {
    newest: u64,
    /// Of all that were counted.
    entered: u64,
    calls: Slots<WINDOW>,
    retries: Slots<{ WINDOW + 1 }>,
}

/// Counts by slot, modulo the length, and their sum.
#[derive(Debug)]
struct Slots<const N: usize> {
    counts: [u64; N],
    sum: u64,
}

// ===== impl Budget =====

impl Budget {
    pub(super) fn new(settings: Option<RetryBudget>) -> Self {
        Self {
            successes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            // Without a limit nobody looks at the clock.
            batch: AtomicU64::new(if settings.is_some() { 0 } else { u64::MAX }),
            limit: settings.map(Limit::new),
        }
    }

    /// One more call whose first attempt went well.
    #[inline]
    pub(super) fn succeeded(&self, now: impl FnOnce() -> Tick) {
        self.count(&self.successes, now);
    }

    /// One more call whose first attempt failed, and that does not ask for a retry.
    pub(super) fn failed(&self, now: impl FnOnce() -> Tick) {
        self.count(&self.failures, now);
    }

    #[inline]
    fn count(&self, counter: &AtomicU64, now: impl FnOnce() -> Tick) {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        let batch = self.batch.load(Ordering::Relaxed);
        if number & batch == batch {
            self.enter_batch(now());
        }
    }

    #[cold]
    fn enter_batch(&self, now: Tick) {
        if let Some(limit) = &self.limit {
            let mut ledger = limit.ledger.lock();
            self.enter(&mut ledger, now, 1);
            let batch = ledger.batch();
            drop(ledger);
            if batch != self.batch.load(Ordering::Relaxed) {
                self.batch.store(batch, Ordering::Relaxed);
            }
        }
    }

    /// Takes one retry, if there is one left. If it is for a call whose `first` attempt has failed, that is counted too.
    pub(super) fn withdraw(&self, now: Tick, first: bool) -> bool {
        if first {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        let Some(limit) = &self.limit else {
            return true;
        };
        let mut ledger = limit.ledger.lock();
        self.enter(&mut ledger, now, u64::from(first));
        let granted = limit.left(&ledger) > 0;
        if granted {
            ledger.take();
        }
        granted
    }

    /// The retries that are left; `None` where nothing limits them.
    pub(super) fn left(&self, now: Tick) -> Option<u64> {
        self.limit.as_ref().map(|limit| {
            let mut ledger = limit.ledger.lock();
            self.enter(&mut ledger, now, 0);
            limit.left(&ledger)
        })
    }

    /// How many calls went well at the first attempt.
    pub(super) fn successes(&self) -> u64 {
        self.successes.load(Ordering::Relaxed)
    }

    /// The counts are read under the lock, where they are never less than who held it before has seen.
    fn enter(&self, ledger: &mut Ledger, now: Tick, own: u64) {
        let ended = self.successes.load(Ordering::Relaxed) + self.failures.load(Ordering::Relaxed);
        ledger.enter(ended, own, now.0 / nanos(SLOT));
    }
}

// ===== impl Limit =====

impl Limit {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // From 0 to 10, so it fits.
    fn new(settings: RetryBudget) -> Self {
        Self {
            // What binary is off by is less than what is taken away first.
            ratio: (settings.ratio * WHOLE as f64 - 1e-4).ceil() as u128,
            reserve: u128::from(settings.min_per_second) * 10 * WHOLE,
            ledger: Mutex::new(Ledger { newest: 0, entered: 0, calls: Slots::new(), retries: Slots::new() }),
        }
    }

    fn left(&self, ledger: &Ledger) -> u64 {
        let earned = (self.ratio * u128::from(ledger.calls.sum) + self.reserve) / WHOLE;
        u64::try_from(earned).unwrap_or(u64::MAX).saturating_sub(ledger.retries.sum)
    }
}

// ===== impl Ledger =====

impl Ledger {
    /// So many calls have `ended` in all; `own` of those that are new did it in this `slot`.
    fn enter(&mut self, ended: u64, own: u64, slot: u64) {
        let new = ended - self.entered;
        self.entered = ended;
        let own = own.min(new);
        self.calls.add(self.newest, new - own);
        if slot > self.newest {
            self.calls.advance(self.newest, slot);
            self.retries.advance(self.newest, slot);
            self.newest = slot;
        }
        // A thread that slept since it read the clock: by now its call may be too old to earn.
        if self.newest - slot < WINDOW as u64 {
            self.calls.add(slot, own);
        }
    }

    fn take(&mut self) {
        self.retries.add(self.newest, 1);
    }

    /// See [`Budget::batch`].
    fn batch(&self) -> u64 {
        let most = (self.calls.sum / BATCH_PART).clamp(1, MAX_BATCH);
        (1 << most.ilog2()) - 1
    }
}

// ===== impl Slots =====

impl<const N: usize> Slots<N> {
    fn new() -> Self {
        Self { counts: [0; N], sum: 0 }
    }

    fn add(&mut self, slot: u64, count: u64) {
        self.counts[Self::place(slot)] += count;
        self.sum += count;
    }

    /// The slots after `newest` up to `slot` begin; what stood in their places is over.
    fn advance(&mut self, newest: u64, slot: u64) {
        for step in 0..(slot - newest).min(N as u64) {
            let place = Self::place(slot - step);
            self.sum -= std::mem::take(&mut self.counts[place]);
        }
    }

    fn place(slot: u64) -> usize {
        (slot % N as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const MILLI: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MILLI;
    const WINDOW_NANOS: u64 = 10 * SECOND;
    /// When the tests begin: no reading of the clock is near zero.
    const BASE: u64 = 3_600 * SECOND;

    fn budget(ratio: f64, min_per_second: u32) -> Budget {
        Budget::new(Some(RetryBudget::ratio(ratio).min_per_second(min_per_second)))
    }

    /// How many there were in the `span` that ends with `now`.
    fn within(times: &[(u64, u64)], now: u64, span: u64) -> u64 {
        times.iter().filter(|(at, _)| at + span > now).map(|(_, count)| count).sum()
    }

    /// A budget that knows the time of everything.
    struct Exact {
        tenths: u64,
        calls: VecDeque<u64>,
        retries: VecDeque<u64>,
    }

    impl Exact {
        fn withdraw(&mut self, now: u64) -> bool {
            for times in [&mut self.calls, &mut self.retries] {
                while times.front().is_some_and(|at| at + WINDOW_NANOS <= now) {
                    times.pop_front();
                }
            }
            let granted = 10 * (self.retries.len() as u64 + 1) <= self.tenths * self.calls.len() as u64;
            if granted {
                self.retries.push_back(now);
            }
            granted
        }
    }

    /// Steps of a call, of a few, and of so many that successes share readings of the clock.
    fn counts() -> impl Strategy<Value = u64> {
        prop_oneof![0_u64..4, 0_u64..40, 0_u64..4_000]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Never more than the naive count allows; and less only by a slot at the edges and one batch.
        #[test]
        fn p09_the_budget_is_the_naive_count(
            tenths in 0_u64..20,
            min_per_second in 0_u32..3,
            steps in prop::collection::vec((0_u64..3_000, [counts(), counts(), counts()], 0_u64..20_000), 0..60),
        ) {
            let budget = budget(tenths as f64 / 10.0, min_per_second);
            let earned = |calls: u64| tenths * calls + 100 * u64::from(min_per_second);
            let (mut now, mut calls, mut retries) = (BASE, Vec::new(), Vec::new());
            for (step, [succeed, fail, retry], wanted) in steps {
                now += step * MILLI;
                let tick = Tick(now);
                (0..succeed).for_each(|_| budget.succeeded(|| tick));
                (0..fail).for_each(|_| budget.failed(|| tick));
                let mut taken = (0..retry).filter(|_| budget.withdraw(tick, true)).count() as u64;
                calls.push((now, succeed + fail + retry));
                let left = budget.left(tick).unwrap();
                let more = (0..wanted).take_while(|_| budget.withdraw(tick, false)).count() as u64;
                prop_assert_eq!(more, wanted.min(left));
                taken += more;
                retries.push((now, taken));
                let spent = within(&retries, now, WINDOW_NANOS);
                prop_assert!(taken == 0 || 10 * spent <= earned(within(&calls, now, WINDOW_NANOS)));
                if more < wanted {
                    let spent = within(&retries, now, WINDOW_NANOS + 100 * MILLI);
                    let dated = within(&calls, now, WINDOW_NANOS - 100 * MILLI);
                    prop_assert!(10 * (spent + 1) > earned(dated.saturating_sub(2 * MAX_BATCH - 2)));
                }
            }
        }

        /// With steady traffic it grants what an exact one does, whatever the rate and however many fail: but for a
        /// fiftieth, and for what happens between two failures at either edge of the window.
        #[test]
        fn p09_steady_traffic_is_not_starved(
            tenths in 1_u64..=20,
            gap_micros in prop_oneof![20_u64..1_000, 1_000_u64..1_000_000],
            one_fails_of in 1_u64..8,
        ) {
            let budget = budget(tenths as f64 / 10.0, 0);
            let mut exact = Exact { tenths, calls: VecDeque::new(), retries: VecDeque::new() };
            let (mut granted, mut exactly) = (0_u64, 0_u64);
            let calls = (60_000_000 / gap_micros).min(30_000);
            for n in 0..calls {
                let now = BASE + n * gap_micros * 1_000;
                exact.calls.push_back(now);
                if n % one_fails_of == 0 {
                    // Each failed call may retry often enough to spend all that there is.
                    for attempt in 0..4 {
                        granted += u64::from(budget.withdraw(Tick(now), attempt == 0));
                        exactly += u64::from(exact.withdraw(now));
                    }
                } else {
                    budget.succeeded(|| Tick(now));
                }
            }
            prop_assert!(granted <= exactly + 1, "{granted} of {exactly}");
            let edges = 0.02 + 2.0 * (gap_micros * one_fails_of) as f64 / 10_000_000.0;
            prop_assert!(granted as f64 + 2.0 >= exactly as f64 * (1.0 - edges), "{granted} of {exactly}");
        }
    }

    #[test]
    fn p09_any_ratio_is_exact() {
        for (ratio, granted) in [
            (0.001, 1),
            (0.2, 200),
            (1.0 / 3.0, 333),
            (0.333, 333),
            (0.6, 600),
            (0.7, 700),
            (0.999, 999),
            (1.0, 1_000),
            (2.5, 2_500),
            (10.0, 10_000),
        ] {
            let budget = budget(ratio, 0);
            let now = Tick(BASE);
            (0..1_000).for_each(|_| budget.succeeded(|| now));
            assert_eq!(budget.left(now), Some(granted), "of 1,000 calls at {ratio}");
            assert_eq!((0..20_000).filter(|_| budget.withdraw(now, false)).count() as u64, granted);
            assert_eq!(budget.left(now), Some(0));
        }
    }

    #[test]
    fn p09_a_ratio_that_is_no_decimal_is_met_by_its_denominator() {
        for (part, of) in [(1_u32, 3_u32), (2, 3), (1, 7), (5, 7), (6, 11), (3, 5), (7, 10)] {
            let budget = budget(f64::from(part) / f64::from(of), 0);
            for n in 1..=of {
                budget.succeeded(|| Tick(BASE));
                assert_eq!(budget.left(Tick(BASE)), Some(u64::from(part * n / of)), "{part}/{of} of {n}");
            }
        }
    }

    #[test]
    fn p09_how_many_share_a_reading_of_the_clock_follows_the_traffic() {
        let budget = budget(1.0, 0);
        let readings = |now: u64, calls: u64| {
            let mut readings = 0;
            for _ in 0..calls {
                budget.succeeded(|| {
                    readings += 1;
                    Tick(now)
                });
            }
            readings
        };
        assert_eq!(readings(BASE, 500), 500, "each its own while there are few");
        readings(BASE, 20_000);
        assert_eq!(readings(BASE, 6_400), 100);
        // The traffic has gone: a reading or two later each has its own again.
        readings(BASE + 20 * SECOND, 64);
        assert_eq!(readings(BASE + 20 * SECOND, 100), 100);
    }

    #[test]
    fn p09_what_was_not_dated_earns_no_longer_than_it_may() {
        let budget = budget(1.0, 0);
        (0..20_000).for_each(|_| budget.succeeded(|| Tick(BASE)));
        // These come later, but nobody looks at the clock.
        (0..40).for_each(|_| budget.succeeded(|| Tick(BASE)));
        assert!(budget.left(Tick(BASE + 9 * SECOND)) > Some(20_000));
        assert_eq!(budget.left(Tick(BASE + 10 * SECOND)), Some(0));
    }

    #[test]
    fn p09_a_thread_that_slept_since_it_read_the_clock_earns_nothing_new() {
        let budget = budget(1.0, 0);
        assert_eq!(budget.left(Tick(BASE + 20 * SECOND)), Some(0));
        budget.succeeded(|| Tick(BASE));
        budget.succeeded(|| Tick(BASE + 12 * SECOND));
        assert_eq!(budget.left(Tick(BASE + 20 * SECOND)), Some(1));
        assert_eq!(budget.left(Tick(BASE + 22 * SECOND)), Some(0));
    }

    #[test]
    fn p09_threads_together_get_no_more_than_one_alone() {
        let budget = budget(0.7, 3);
        // It has a first moment: calls that end before are dated to the beginning of time.
        assert_eq!(budget.left(Tick(BASE)), Some(30));
        let granted: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8_u64)
                .map(|thread| {
                    let budget = &budget;
                    scope.spawn(move || {
                        let mut granted = 0;
                        for call in 0..4_000_u64 {
                            let now = Tick(BASE + (2 * call + thread % 2) * MILLI);
                            if call % 4 == 0 {
                                // More than one try is earned by none of them.
                                granted += (0..8).filter(|n| budget.withdraw(now, *n == 0)).count() as u64;
                            } else {
                                budget.succeeded(|| now);
                            }
                        }
                        granted
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let end = Tick(BASE + 8 * SECOND);
        let left = budget.left(end).unwrap();
        // All of it happened within the ten seconds of one window, so the exact sum holds.
        assert_eq!(granted + left, 22_400 + 30);
        assert!((0..left).all(|_| budget.withdraw(end, false)));
        assert!(!budget.withdraw(end, false));
        assert!(budget.withdraw(Tick(BASE + 19 * SECOND), false), "the reserve is back");
    }

    #[test]
    fn without_a_limit_nobody_looks_at_the_clock() {
        let budget = Budget::new(None);
        (0..1_000).for_each(|_| budget.succeeded(|| panic!("looked at the clock")));
        assert_eq!((budget.successes(), budget.left(Tick(BASE))), (1_000, None));
        assert!(budget.withdraw(Tick(BASE), true));
    }
}

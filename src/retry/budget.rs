//! How many retries there may be at all.
//!
//! Backoff spreads retries; it does not bound them. When a service fails altogether, three retries a call make
//! four times the traffic at the worst moment. A budget ties the number of retries to the number of calls.
//! The rule is that of Finagle's `RetryBudget`: a share of the calls and a small reserve for clients that call
//! seldom, over ten seconds.

use serde::{Deserialize, Serialize};

use crate::clock::Tick;
use crate::error::ConfigError;
use crate::seconds::{Seconds, second_of};
use crate::sync::Mutex;

/// How many retries are allowed: a share of the calls of the last ten seconds, and a reserve.
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

const WINDOW: u64 = 10;
/// More than the window has seconds.
const SLOTS: usize = 16;
/// The ratio is kept in billionths: 0.6 is then exactly that, which it is not in binary.
const WHOLE: u128 = 1_000_000_000;

/// What a [`RetryBudget`] has counted.
///
/// The calls are counted without a lock, as every call pays for it. A retry has waited already and can take one,
/// which makes looking and taking one step.
///
/// Both are counted by the second. To be right at any moment the calls of the running second and the nine before
/// it earn, and the retries of the running second and the ten before it are held against them.
#[derive(Debug)]
pub(super) struct Budget {
    ratio: u128,
    reserve: u128,
    calls: Seconds<SLOTS>,
    retries: Mutex<Retries>,
}

#[derive(Debug, Default)]
struct Retries {
    newest: u64,
    /// By second, modulo the length.
    ring: [u64; WINDOW as usize + 1],
    sum: u64,
}

impl Budget {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // From 0 to 10, so it fits.
    pub(super) fn new(settings: RetryBudget) -> Self {
        Self {
            ratio: (settings.ratio * WHOLE as f64).round() as u128,
            reserve: u128::from(settings.min_per_second) * u128::from(WINDOW),
            calls: Seconds::new(),
            retries: Mutex::new(Retries::default()),
        }
    }

    /// One more call.
    #[inline]
    pub(super) fn deposit(&self, now: Tick) {
        self.calls.add(now);
    }

    /// Takes one retry, if there is one left.
    pub(super) fn withdraw(&self, now: Tick) -> bool {
        let mut retries = self.retries.lock();
        retries.advance(second_of(now));
        let earned = self.ratio * u128::from(self.calls.sum(retries.newest, WINDOW)) + self.reserve * WHOLE;
        if (u128::from(retries.sum) + 1) * WHOLE > earned {
            return false;
        }
        retries.take();
        true
    }
}

impl Retries {
    fn place(&self, second: u64) -> usize {
        (second % self.ring.len() as u64) as usize
    }

    /// A clock that another thread read before does no harm: the newest second never moves back.
    fn advance(&mut self, second: u64) {
        if second <= self.newest {
            return;
        }
        let steps = (second - self.newest).min(self.ring.len() as u64);
        for step in 0..steps {
            let place = self.place(second - step);
            self.sum -= std::mem::take(&mut self.ring[place]);
        }
        self.newest = second;
    }

    fn take(&mut self) {
        let place = self.place(self.newest);
        self.ring[place] += 1;
        self.sum += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MILLI: u64 = 1_000_000;
    const WINDOW_NANOS: u64 = WINDOW * 1_000_000_000;

    /// How many of `times` lie in the `span` that ends with `now`.
    fn within(times: &[u64], now: u64, span: u64) -> u128 {
        times.iter().filter(|at| **at + span > now).count() as u128
    }

    proptest! {
        /// Never more than the naive count allows, and never less by more than a second at the edges.
        #[test]
        fn p09_the_budget_is_the_naive_count(
            tenths in 0_u32..20,
            min_per_second in 0_u32..3,
            steps in prop::collection::vec((0_u64..3_000, 0_u32..4, 0_u32..4), 0..200),
        ) {
            let ratio = f64::from(tenths) / 10.0;
            let budget = Budget::new(RetryBudget::ratio(ratio).min_per_second(min_per_second));
            let earned = |calls: u128| u128::from(tenths) * calls + 10 * u128::from(min_per_second) * 10;
            let (mut now, mut calls, mut retries) = (3_600_000 * MILLI, Vec::new(), Vec::new());
            for (step, called, wanted) in steps {
                now += step * MILLI;
                for _ in 0..called {
                    budget.deposit(Tick(now));
                    calls.push(now);
                }
                for _ in 0..wanted {
                    if budget.withdraw(Tick(now)) {
                        retries.push(now);
                        let spent = within(&retries, now, WINDOW_NANOS);
                        prop_assert!(10 * spent <= earned(within(&calls, now, WINDOW_NANOS)));
                    } else {
                        let spent = within(&retries, now, WINDOW_NANOS + 1_000 * MILLI);
                        let least = earned(within(&calls, now, WINDOW_NANOS - 1_000 * MILLI));
                        prop_assert!(10 * (spent + 1) > least);
                    }
                }
            }
        }
    }

    #[test]
    fn p09_any_ratio_is_exact() {
        for thousandths in [1, 200, 333, 600, 700, 999, 1_000, 2_500, 10_000] {
            let budget = Budget::new(RetryBudget::ratio(f64::from(thousandths) / 1_000.0).min_per_second(0));
            let now = Tick(3_600_000 * MILLI);
            (0..1_000).for_each(|_| budget.deposit(now));
            let granted = (0..20_000).filter(|_| budget.withdraw(now)).count();
            assert_eq!(granted, thousandths as usize, "of 1,000 calls at {thousandths} ‰");
        }
    }

    #[test]
    fn p09_threads_together_get_no_more_than_one_alone() {
        let budget = Budget::new(RetryBudget::ratio(0.7).min_per_second(3));
        let base = 3_600_000 * MILLI;
        let granted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8_u64)
                .map(|thread| {
                    let budget = &budget;
                    scope.spawn(move || {
                        (0..1_000_u64)
                            .filter(|call| {
                                let now = Tick(base + (call * 9 + thread) * MILLI);
                                budget.deposit(now);
                                // The second try is one that nothing was earned for.
                                usize::from(budget.withdraw(now)) + usize::from(budget.withdraw(now)) > 0
                            })
                            .count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let spent = budget.retries.lock().sum;
        assert!(granted as u64 <= spent);
        // All of it happened within the ten seconds of one window, so the exact sum holds.
        assert_eq!(budget.calls.sum(3_609, WINDOW), 8_000);
        assert_eq!(spent, 5_600 + 30);
        assert!(!budget.withdraw(Tick(base + 9_999 * MILLI)));
        assert!(budget.withdraw(Tick(base + 21_000 * MILLI)), "the reserve is back");
    }
}

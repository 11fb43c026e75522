//! Monotonic values of the counters of kernels and drivers.
//!
//! The counters that the sampler reads fall, jump and restart: `iowait` by design, the milliseconds of a disk at 2³²,
//! those of an interface when another interface takes its name, those of a driver when it is loaded again. All sources
//! report their counters through this module. A reported value never falls, and never grows faster than is possible.
//!
//! A reading that does not follow from the last one is held back, and the next reading decides:
//!
//! | the reading | the reported value |
//! |---|---|
//! | rose by a possible amount | rises by the same amount |
//! | fell by less than half | stays until the counter has risen again |
//! | fell by more, or jumped, and the next reading follows the old value | stays; the odd reading is ignored |
//! | fell near 2³² by as much as a wrap, and the next reading follows it | rises by what passed the wrap |
//! | fell by more, or jumped, and the next reading follows it | continues from the old value: the counter restarted, or is another one |
//! | is zero | stays: zero decides nothing |

use std::collections::HashMap;
use std::time::Duration;

use super::probe::Labels;
use crate::base::clock::Tick;
use crate::signal::Metric;

/// The tolerance for the time at which a reading was taken.
const SLACK: Duration = Duration::from_secs(1);
/// The limit of a counter. A larger reading is an underflow.
const LARGEST: f64 = 9_223_372_036_854_775_808.0;
/// The maximum growth of a counter of any unit in a second: 10¹² bytes, packets or other units.
const MOST_PER_SECOND: f64 = 1e12;
/// The value at which a counter of 32 bits starts again at zero.
const WRAP: f64 = 4_294_967_296.0;

/// The properties of a counter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Its maximum growth in a second.
    most_per_second: f64,
    /// Whether it may start again at zero after 2³².
    wraps: bool,
    /// Whether it restarts at zero, so that its whole value has passed since the restart.
    from_zero: bool,
}

/// A counter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counter {
    /// The last accepted reading, and its time.
    last: Option<(f64, Tick)>,
    /// The last reading, if it did not follow from the accepted one.
    doubt: Option<f64>,
    /// The difference between the reported value and the reading.
    shift: f64,
    /// Whether the next reading is of another counter.
    replaced: bool,
    /// Whether the last reading showed that the counter restarted.
    pub(super) restarted: bool,
}

/// Counters by metric and attributes.
#[derive(Debug, Default)]
pub(super) struct Counters(HashMap<Labels, Vec<(&'static Metric, Counter)>>);

// ===== impl Rules =====

impl Rules {
    /// A counter of 64 bits.
    pub(super) const WIDE: Self = Self { most_per_second: MOST_PER_SECOND, wraps: false, from_zero: false };
    /// A counter that may have 32 bits only.
    pub(super) const NARROW: Self = Self { wraps: true, ..Self::WIDE };
    /// A counter of a driver, which restarts at zero when the driver is loaded.
    pub(super) const OF_DRIVER: Self = Self { from_zero: true, ..Self::WIDE };

    /// Sets its maximum growth in a second.
    pub(super) const fn at_most(self, most_per_second: f64) -> Self {
        Self { most_per_second, ..self }
    }
}

// ===== impl Counter =====

impl Counter {
    /// Marks that the next reading is of another counter.
    pub(super) fn replace(&mut self) {
        self.replaced = true;
    }

    /// Takes a reading and returns the value to report; `None` before the first plausible reading.
    pub(super) fn take(&mut self, read: f64, now: Tick, rules: &Rules) -> Option<f64> {
        self.restarted = false;
        if (0.0..LARGEST).contains(&read) {
            self.accept(read, now, rules);
        }
        self.last.map(|(last, _)| last + self.shift)
    }

    fn accept(&mut self, read: f64, now: Tick, rules: &Rules) {
        let Some((last, at)) = self.last else {
            (self.last, self.replaced) = (Some((read, now)), false);
            return;
        };
        let possible = rules.most_per_second * (now.since(at) + SLACK).as_secs_f64();
        let follows = |from: f64| (0.0..=possible).contains(&(read - from));
        let shown = last + self.shift;
        if std::mem::take(&mut self.replaced) {
            self.shift = shown - read;
        } else if !follows(last) {
            if read < last && read > last / 2.0 {
                return;
            }
            let Some(doubt) = self.doubt.filter(|doubt| read > 0.0 && follows(*doubt)) else {
                self.doubt = Some(read);
                return;
            };
            let over = read + WRAP - last;
            if rules.wraps && last < WRAP && read < last && over < WRAP / 4.0 {
                self.shift += WRAP;
            } else {
                self.restarted = read < last;
                let since = if rules.from_zero && self.restarted { 0.0 } else { doubt };
                self.shift = shown - since;
            }
        }
        (self.last, self.doubt) = (Some((read, now)), None);
    }
}

// ===== impl Counters =====

impl Counters {
    /// Above this number of counters, those that are no longer read are removed.
    const MOST: usize = 8_192;
    /// How long a counter that is no longer read is kept above that number.
    const KEPT: Duration = Duration::from_secs(600);

    /// Takes a reading of a counter and returns the value to report.
    pub(super) fn take(
        &mut self,
        metric: &'static Metric,
        read: Option<f64>,
        labels: &Labels,
        now: Tick,
        rules: &Rules,
    ) -> Option<f64> {
        let read = read?;
        if !self.0.contains_key(labels) {
            if self.0.len() >= Self::MOST {
                let lately = |(_, counter): &(_, Counter)| {
                    counter.last.is_some_and(|(_, at)| now.since(at) < Self::KEPT)
                };
                self.0.retain(|_, counters| counters.iter().any(lately));
            }
            self.0.insert(labels.clone(), Vec::new());
        }
        let counters = self.0.get_mut(labels)?;
        let place =
            counters.iter().position(|(known, _)| std::ptr::eq(*known, metric)).unwrap_or_else(|| {
                counters.push((metric, Counter::default()));
                counters.len() - 1
            });
        counters.get_mut(place)?.1.take(read, now, rules)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signal::SYSTEM_DISK_IO;

    const START: Tick = Tick(1_000_000_000_000);

    fn at(second: usize) -> Tick {
        START + Duration::from_secs(second as u64)
    }

    /// The reported values of these readings, which are a second apart.
    fn shown(rules: &Rules, readings: &[f64]) -> Vec<f64> {
        let mut counter = Counter::default();
        let take = |(second, read): (usize, &f64)| counter.take(*read, at(second), rules).unwrap();
        readings.iter().enumerate().map(take).collect()
    }

    #[test]
    fn p41_a_small_fall_is_held_back_and_is_no_restart() {
        assert_eq!(
            shown(&Rules::WIDE, &[500.0, 490.0, 495.0, 499.0, 510.0]),
            [500.0, 500.0, 500.0, 500.0, 510.0]
        );
        let mut energy = Counter::default();
        for (second, read) in [5_000.0, 4_999.999, 5_001.0].into_iter().enumerate() {
            energy.take(read, at(second), &Rules::OF_DRIVER);
            assert!(!energy.restarted);
        }
    }

    #[test]
    fn p41_readings_of_zero_and_one_odd_reading_change_nothing() {
        for rules in [Rules::WIDE, Rules::NARROW, Rules::OF_DRIVER] {
            assert_eq!(shown(&rules, &[5_000.0, 0.0, 5_001.0]), [5_000.0, 5_000.0, 5_001.0]);
            assert_eq!(shown(&rules, &[5_000.0, 0.0, 0.0, 0.0, 5_001.0])[4], 5_001.0);
            assert_eq!(shown(&rules, &[5_000.0, 7.0, 5_001.0])[2], 5_001.0);
            assert_eq!(
                shown(&rules, &[5_000.0, 18_446_744_073_709_551_615.0, 5_001.0])[1..],
                [5_000.0, 5_001.0]
            );
            assert_eq!(shown(&rules, &[5_000.0, 1e18, 5_001.0])[1..], [5_000.0, 5_001.0]);
            assert_eq!(shown(&rules, &[5_000.0, f64::NAN, -1.0, f64::INFINITY, 5_001.0])[4], 5_001.0);
        }
        let mut counter = Counter::default();
        assert_eq!(counter.take(1e19, at(0), &Rules::WIDE), None, "an underflow at first");
        assert_eq!(counter.take(7.0, at(1), &Rules::WIDE), Some(7.0));
        // Near the wrap, zero is not a wrap either.
        assert_eq!(shown(&Rules::NARROW, &[WRAP - 5.0, 0.0, WRAP - 4.0])[2], WRAP - 4.0);
    }

    #[test]
    fn p41_a_counter_that_restarted_continues_from_its_old_value() {
        let readings = [1_000.0, 10.0, 15.0, 25.0];
        assert_eq!(shown(&Rules::WIDE, &readings), [1_000.0, 1_000.0, 1_005.0, 1_015.0]);
        assert_eq!(shown(&Rules::OF_DRIVER, &readings), [1_000.0, 1_000.0, 1_015.0, 1_025.0]);
        // Another counter with a much larger value: only its own growth counts.
        let readings = [1_000.0, 5e15, 5e15 + 10.0];
        assert_eq!(shown(&Rules::OF_DRIVER, &readings), [1_000.0, 1_000.0, 1_010.0]);
        let mut counter = Counter::default();
        let began = [100.0, 3.0, 4.0, 5.0].map(|read| {
            counter.take(read, at(0), &Rules::OF_DRIVER);
            counter.restarted
        });
        assert_eq!(began, [false, false, true, false]);
    }

    #[test]
    fn p41_a_counter_of_32_bits_wraps_and_one_of_64_does_not() {
        let readings = [WRAP - 100.0, 50.0, 80.0];
        assert_eq!(shown(&Rules::NARROW, &readings), [WRAP - 100.0, WRAP - 100.0, WRAP + 80.0]);
        assert_eq!(shown(&Rules::WIDE, &readings)[2], WRAP - 70.0);
        // Too far to be a wrap.
        assert_eq!(shown(&Rules::NARROW, &[WRAP / 2.0, 50.0, 80.0])[2], WRAP / 2.0 + 30.0);
        let twice = [WRAP - 1.0, 1.0, 2.0, 1e9, 2e9, 3e9, WRAP - 1.0, 1.0, 3.0];
        assert_eq!(*shown(&Rules::NARROW, &twice).last().unwrap(), 2.0 * WRAP + 3.0);
    }

    #[test]
    fn p41_another_counter_adds_nothing() {
        let mut counter = Counter::default();
        let take = |counter: &mut Counter, read| counter.take(read, at(0), &Rules::WIDE).unwrap();
        assert_eq!([5.0, 5.0, 7.0].map(|read| take(&mut counter, read)), [5.0, 5.0, 7.0]);
        counter.replace();
        assert_eq!([1_000.0, 1_001.0].map(|read| take(&mut counter, read)), [7.0, 8.0]);
        counter.replace();
        assert_eq!([1.0, 2.0].map(|read| take(&mut counter, read)), [8.0, 9.0]);
        let mut first = Counter::default();
        first.replace();
        assert_eq!([3.0, 4.0].map(|read| take(&mut first, read)), [3.0, 4.0]);
    }

    #[test]
    fn counters_are_removed_only_when_there_are_many() {
        let mut counters = Counters::default();
        let labels = |number: usize| Labels::new([("system.device", &*number.to_string())]);
        let take = |counters: &mut Counters, number, read, second| {
            counters.take(&SYSTEM_DISK_IO, Some(read), &labels(number), at(second), &Rules::WIDE)
        };
        take(&mut counters, 0, 100.0, 0);
        for number in 0..2 * Counters::MOST {
            take(&mut counters, number, 7.0, 0);
        }
        assert_eq!(take(&mut counters, 0, 8.0, 1), Some(101.0), "it is still known");
        take(&mut counters, 2 * Counters::MOST, 7.0, 700);
        assert_eq!(counters.0.len(), 1);
    }

    proptest! {
        /// For any readings, the reported value never falls and never grows faster than is possible.
        #[test]
        fn p41_a_reported_value_never_falls_nor_jumps(
            readings in prop::collection::vec(prop_oneof![
                Just(0.0), 0.0..1e3_f64, 0.0..1e13_f64, (WRAP - 1e6)..WRAP, Just(f64::NAN), Just(1.8e19), Just(-3.0),
            ], 1..40),
            rules in prop_oneof![Just(Rules::WIDE), Just(Rules::NARROW), Just(Rules::OF_DRIVER)],
        ) {
            let mut counter = Counter::default();
            let mut before: Option<(f64, usize)> = None;
            for (second, read) in readings.iter().enumerate() {
                let Some(shown) = counter.take(*read, at(second), &rules) else { continue };
                if let Some((before, then)) = before {
                    let most = MOST_PER_SECOND * ((second - then) as f64 + 40.0);
                    prop_assert!(shown >= before - 1e-3 && shown - before <= most, "{before} {shown}");
                }
                before = Some((shown, second));
            }
        }
    }
}

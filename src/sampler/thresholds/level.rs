//! The level of one figure.

use super::settings::Threshold;
use crate::signal::Level;

/// The level of a figure by its last readings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LevelTracker {
    pub(super) level: Level,
    /// The number of consecutive readings at other levels, all above or all below this level.
    in_a_row: u32,
    /// The level of those readings that is nearest to this level: all of them reach it.
    wanted: Level,
}

impl LevelTracker {
    pub(super) const NEW: Self = Self { level: Level::Fine, in_a_row: 0, wanted: Level::Fine };

    /// Takes a reading.
    pub(super) fn read(&mut self, value: f64, threshold: &Threshold) {
        let level = self.level_of(value, threshold);
        if level == self.level {
            self.in_a_row = 0;
            return;
        }
        let worse = level > self.level;
        let goes_on = self.in_a_row > 0 && (self.wanted > self.level) == worse;
        self.wanted = match (goes_on, worse) {
            (false, _) => level,
            (true, true) => self.wanted.min(level),
            (true, false) => self.wanted.max(level),
        };
        self.in_a_row = if goes_on { self.in_a_row.saturating_add(1) } else { 1 };
        if self.in_a_row >= threshold.readings {
            (self.level, self.in_a_row) = (self.wanted, 0);
        }
    }

    /// The level of this value. The current level, and those below it, end only well below their limits.
    fn level_of(self, value: f64, threshold: &Threshold) -> Level {
        let reaches = |level: Level, limit: f64| {
            value >= if self.level >= level { clears_below(limit, threshold) } else { limit }
        };
        if reaches(Level::Critical, threshold.critical) {
            Level::Critical
        } else if reaches(Level::Warning, threshold.warn) {
            Level::Warning
        } else {
            Level::Fine
        }
    }
}

/// The value below which a level ends.
pub(super) fn clears_below(limit: f64, threshold: &Threshold) -> f64 {
    limit * (1.0 - threshold.clear)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn levels(threshold: &Threshold, values: &[f64]) -> Vec<Level> {
        let mut tracker = LevelTracker::NEW;
        let read = |value: &f64| {
            tracker.read(*value, threshold);
            tracker.level
        };
        values.iter().map(read).collect()
    }

    #[test]
    fn a_level_begins_at_its_limit_and_ends_well_below_it() {
        use Level::{Critical, Fine, Warning};
        let threshold = Threshold::new(0.8, 0.9).clear(0.1);
        assert_eq!(
            levels(&threshold, &[0.79, 0.8, 0.79, 0.73, 0.71, 0.79, 0.95, 0.82, 0.80, 0.1]),
            [Fine, Warning, Warning, Warning, Fine, Fine, Critical, Critical, Warning, Fine]
        );
    }

    #[test]
    fn a_change_needs_consecutive_readings_that_all_reach_the_level() {
        use Level::{Critical, Fine, Warning};
        let threshold = Threshold::new(0.8, 0.9).readings(3);
        assert_eq!(
            levels(
                &threshold,
                &[0.95, 0.95, 0.1, 0.95, 0.85, 0.95, 0.95, 0.95, 0.95, 0.1, 0.1, 0.8, 0.1, 0.1]
            ),
            [
                Fine, Fine, Fine, Fine, Fine, Warning, Warning, Warning, Critical, Critical, Critical,
                Warning, Warning, Warning
            ]
        );
    }

    proptest! {
        #[test]
        fn a_level_follows_from_the_last_readings(
            values in prop::collection::vec(0.0_f64..1.2, 1..60),
            readings in 1_u32..4,
            clear in 0.0_f64..0.5,
        ) {
            let threshold = Threshold { warn: 0.6, critical: 0.9, clear, readings };
            let levels = levels(&threshold, &values);
            let pairs = std::iter::once(Level::Fine).chain(levels.iter().copied()).zip(levels.iter().copied());
            for (place, (before, after)) in pairs.enumerate() {
                if before == after {
                    continue;
                }
                // A change needs `readings` consecutive readings that all reach the new level.
                prop_assert!(place + 1 >= readings as usize);
                for value in &values[place + 1 - readings as usize..=place] {
                    let limit = |level: Level| if level == Level::Critical { 0.9 } else { 0.6 };
                    if after > before {
                        prop_assert!(*value >= limit(after), "{value} does not reach {after:?}");
                    } else {
                        prop_assert!(*value < limit(before) * (1.0 - clear), "{value} does not leave {before:?}");
                    }
                }
            }
        }
    }
}

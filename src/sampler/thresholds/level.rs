//! Where one figure stands.

use super::settings::Threshold;
use crate::signal::Level;

/// Between which limits a figure is, by its last readings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LevelTracker {
    pub(super) level: Level,
    /// Readings in a row that want another level, all of them on the same side of this one.
    in_a_row: u32,
    /// The level among those they want that is nearest to this one: what all of them agree on.
    wanted: Level,
}

impl LevelTracker {
    pub(super) const NEW: Self = Self { level: Level::Fine, in_a_row: 0, wanted: Level::Fine };

    /// Takes another reading into account.
    pub(super) fn read(&mut self, value: f64, threshold: &Threshold) {
        let wants = self.wants(value, threshold);
        if wants == self.level {
            self.in_a_row = 0;
            return;
        }
        let worse = wants > self.level;
        let goes_on = self.in_a_row > 0 && (self.wanted > self.level) == worse;
        self.wanted = match (goes_on, worse) {
            (false, _) => wants,
            (true, true) => self.wanted.min(wants),
            (true, false) => self.wanted.max(wants),
        };
        self.in_a_row = if goes_on { self.in_a_row.saturating_add(1) } else { 1 };
        if self.in_a_row >= threshold.readings {
            (self.level, self.in_a_row) = (self.wanted, 0);
        }
    }

    /// The level that this value is at: one that was reached is left only well below its limit.
    fn wants(self, value: f64, threshold: &Threshold) -> Level {
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

/// A limit that was reached counts as left below this.
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
    fn a_limit_is_reached_at_once_and_left_well_below() {
        use Level::{Critical, Fine, Warning};
        let threshold = Threshold::new(0.8, 0.9).clear(0.1);
        assert_eq!(
            levels(&threshold, &[0.79, 0.8, 0.79, 0.73, 0.71, 0.79, 0.95, 0.82, 0.80, 0.1]),
            [Fine, Warning, Warning, Warning, Fine, Fine, Critical, Critical, Warning, Fine]
        );
    }

    #[test]
    fn readings_in_a_row_are_what_all_of_them_agree_on() {
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
        fn a_level_is_that_of_the_last_readings(
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
                // No change without as many readings in a row as are asked for, each at least as far.
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

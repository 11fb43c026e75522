//! Whether a level has shifted: the Page–Hinkley test, in both directions.
//!
//! A small deviation that lasts is as significant as a large one. Deviations are summed, less an allowed drift; a sum far
//! above its minimum is a shift (Page, 1954; Hinkley, 1971). A sum that restarts at 0 whenever it is negative equals its
//! distance from its minimum.

/// The sum that makes a shift, in standard deviations times minutes. A deviation of two spreads reaches it in seven
/// minutes, chance in some months.
const ENOUGH: f64 = 10.0;

/// The maximum number of standard deviations that count at once: one bad minute is not a shift.
const MOST: f64 = 5.0;

/// A shift ends when the mean deviation of these last minutes is below the drift.
const LOOK_BACK: f64 = 3.0;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Shift {
    up: f32,
    down: f32,
    /// The mean deviation of the last minutes.
    recent: f32,
    /// 1 when the level moved up, -1 when it moved down.
    direction: i8,
}

impl Shift {
    /// Adds a deviation that held for `minutes` minutes, less the `allowed` drift. Both are in standard deviations.
    #[allow(clippy::cast_possible_truncation)] // `f32` is precise enough.
    pub(super) fn update(&mut self, deviation: f64, allowed: f64, minutes: f64) {
        let deviation = deviation.clamp(-MOST, MOST);
        let share = (minutes * (1.0 / LOOK_BACK)).min(1.0) as f32;
        self.recent += share * (deviation as f32 - self.recent);
        let sum = |sum: f32, deviation: f64| {
            (f64::from(sum) + (deviation - allowed) * minutes).clamp(0.0, 2.0 * ENOUGH) as f32
        };
        self.up = sum(self.up, deviation);
        self.down = sum(self.down, -deviation);
        if self.direction != 0 {
            if f64::from(self.recent) * f64::from(self.direction) < allowed {
                *self = Self::default();
            }
        } else if f64::from(self.up) > ENOUGH {
            self.direction = 1;
        } else if f64::from(self.down) > ENOUGH {
            self.direction = -1;
        }
    }

    /// 1 when the level moved up, -1 when it moved down, 0 when it did not.
    pub(super) fn direction(&self) -> i8 {
        self.direction
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// After how many measures a shift is detected.
    fn seen(deviation: f64, minutes: f64) -> Option<u32> {
        let mut shift = Shift::default();
        (1..=1_000).find(|_| {
            shift.update(deviation, 0.5, minutes);
            f64::from(shift.direction()) == deviation.signum()
        })
    }

    #[test]
    fn a_lasting_deviation_is_detected_in_both_directions_at_any_rate_of_measures() {
        assert_eq!((seen(2.0, 1.0), seen(-2.0, 1.0)), (Some(7), Some(7)));
        assert_eq!(seen(2.0, 1.0 / 6.0), Some(41), "with a measure every ten seconds, about the same time");
        assert_eq!(seen(100.0, 1.0), Some(3), "neither one nor two bad minutes are a shift");
        assert_eq!(seen(0.5, 1.0), None, "an allowed drift");
    }

    #[test]
    fn a_shift_ends_when_the_level_is_back() {
        let mut shift = Shift::default();
        (0..60).for_each(|_| shift.update(4.0, 0.5, 1.0));
        assert_eq!(shift.direction(), 1);
        let back = (1..60).find(|_| {
            shift.update(0.0, 0.5, 1.0);
            shift.direction() == 0
        });
        assert!(back.is_some_and(|minutes| minutes < 10), "{back:?}");
        assert_eq!(shift, Shift::default());
    }

    proptest! {
        #[test]
        fn shifts_are_those_of_page_and_hinkley(deviations in prop::collection::vec(-3.0_f64..3.2, 1..200)) {
            let mut shift = Shift::default();
            let (mut sum, mut lowest) = (0.0_f64, 0.0_f64);
            for deviation in deviations {
                shift.update(deviation, 0.5, 1.0);
                sum += deviation - 0.5;
                lowest = lowest.min(sum);
                if shift.direction() == -1 {
                    break;
                }
                if shift.direction() == 1 {
                    prop_assert!(sum - lowest > ENOUGH - 1e-3);
                    break;
                }
                prop_assert!(sum - lowest <= ENOUGH + 1e-3);
            }
        }
    }
}

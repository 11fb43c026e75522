//! Whether a level has moved: Page–Hinkley, on both sides.
//!
//! What is small and lasts is as telling as what is large: deviations are added up, less a drift that is allowed,
//! and a sum that gets far above its lowest is a shift (Page, 1954; Hinkley, 1971). A sum that starts again from 0 as
//! soon as it is negative is the same as its distance from its lowest.

/// A sum as large, in standard deviations times minutes, is a shift. One of twice the usual spread takes
/// seven minutes to get there, chance some months.
const ENOUGH: f64 = 10.0;

/// More than so many standard deviations at once count no more: one bad minute is no shift.
const MOST: f64 = 5.0;

/// A shift is over when the deviations of the last minutes are back below the drift.
const LOOK_BACK: f64 = 3.0;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Shift {
    up: f32,
    down: f32,
    /// Mean deviation of the last minutes.
    recent: f32,
    /// 1 when the level moved up, -1 when it moved down.
    direction: i8,
}

impl Shift {
    /// Takes in a deviation that held for so many minutes; a drift below `allowed` is none. Both in standard deviations.
    #[allow(clippy::cast_possible_truncation)] // Small figures that need no more digits.
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

    /// After how many minutes a shift is seen.
    fn seen(deviation: f64, minutes: f64) -> Option<u32> {
        let mut shift = Shift::default();
        (1..=1_000).find(|_| {
            shift.update(deviation, 0.5, minutes);
            f64::from(shift.direction()) == deviation.signum()
        })
    }

    #[test]
    fn what_lasts_is_seen_whichever_way_it_goes_and_however_often_one_looks() {
        assert_eq!((seen(2.0, 1.0), seen(-2.0, 1.0)), (Some(7), Some(7)));
        assert_eq!(seen(2.0, 1.0 / 6.0), Some(41), "every ten seconds, the same time");
        assert_eq!(seen(100.0, 1.0), Some(3), "one bad minute is no shift, nor two");
        assert_eq!(seen(0.5, 1.0), None, "a drift that is allowed");
    }

    #[test]
    fn it_is_over_when_the_level_is_back() {
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
        fn a_shift_is_that_of_page_and_hinkley(deviations in prop::collection::vec(-3.0_f64..3.2, 1..200)) {
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

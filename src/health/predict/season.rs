//! The usual level of a vital sign for each hour of the week.
//!
//! A season is used after two weeks. Until then the level of the baseline alone follows the time of day.

/// Hours of a week.
const HOURS: usize = 168;

/// In milliseconds.
const TWO_WEEKS: u64 = 14 * 86_400_000;

/// An hour with fewer measured minutes is not learned.
const ENOUGH_MINUTES: f32 = 30.0;

/// The weight of a new week against the weeks before it.
const PACE: f32 = 0.4;

/// A level for each hour of the week, in 16 bits each: the upper half of a float, accurate to one part in 256.
#[derive(Clone, Debug)]
pub(super) struct Season {
    levels: [u16; HOURS],
    /// When learning began, in milliseconds since the first round.
    since: u64,
    /// The hour that is being learned.
    hour: u8,
    minutes: f32,
    sum: f32,
    in_use: bool,
}

/// The range that a season expects. It knows the levels of whole hours only. A change from one hour to the next may be
/// smooth or sudden, so anything between the two levels is usual.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Expected {
    pub(super) low: f64,
    /// The level if the change is smooth.
    pub(super) middle: f64,
    pub(super) high: f64,
}

/// Marks an hour that was not learned yet.
const UNSEEN: u16 = u16::MAX;

impl Season {
    pub(super) fn new(at: u64) -> Self {
        Self { levels: [UNSEEN; HOURS], since: at, hour: 0, minutes: 0.0, sum: 0.0, in_use: false }
    }

    /// Learns from a level that held for `minutes` minutes.
    pub(super) fn learn(&mut self, hour: u8, level: f32, minutes: f32) {
        if hour != self.hour {
            self.close();
            self.hour = hour;
        }
        self.minutes += minutes;
        self.sum += minutes * level;
    }

    fn close(&mut self) {
        if self.minutes >= ENOUGH_MINUTES
            && let Some(level) = self.levels.get_mut(usize::from(self.hour))
        {
            let mean = self.sum / self.minutes;
            *level = if *level == UNSEEN {
                narrow(mean)
            } else {
                narrow(wide(*level) + PACE * (mean - wide(*level)))
            };
        }
        (self.minutes, self.sum) = (0.0, 0.0);
    }

    /// Whether the season is used from now on. Hours that were not learned get `level`.
    pub(super) fn begins(&mut self, at: u64, level: f32) -> bool {
        if self.in_use || at.saturating_sub(self.since) < TWO_WEEKS {
            return false;
        }
        self.in_use = true;
        self.levels.iter_mut().filter(|seen| **seen == UNSEEN).for_each(|unseen| *unseen = narrow(level));
        true
    }

    /// The range at `part` of the hour; `None` before the season is used.
    pub(super) fn expects(&self, hour: u8, part: f64) -> Option<Expected> {
        if !self.in_use {
            return None;
        }
        let hour = usize::from(hour) % HOURS;
        let other = if part < 0.5 { hour + HOURS - 1 } else { hour + 1 } % HOURS;
        let (one, other) = (f64::from(wide(self.levels[hour])), f64::from(wide(self.levels[other])));
        let away = (part - 0.5).abs().min(0.5);
        Some(Expected { low: one.min(other), middle: one + away * (other - one), high: one.max(other) })
    }
}

/// Rounds to the nearest. NaN stays far from any level.
#[allow(clippy::cast_possible_truncation)] // The upper half.
fn narrow(level: f32) -> u16 {
    (level.to_bits().saturating_add(0x8000) >> 16) as u16
}

fn wide(level: u16) -> f32 {
    f32::from_bits(u32::from(level) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WEEK: u64 = TWO_WEEKS / 2;

    fn range(season: &Season, hour: u8, part: f64) -> Option<(f64, f64)> {
        season.expects(hour, part).map(|expected| (expected.low, expected.high))
    }

    #[test]
    fn an_hour_is_known_after_two_weeks_and_its_neighbours_bound_the_range() {
        let mut season = Season::new(0);
        for day in 0..21 * 24_u64 {
            let hour = (day % 168) as u8;
            assert_eq!(season.begins(day * 3_600_000, 5.0), day * 3_600_000 == 2 * WEEK);
            let busy = hour % 24 >= 9;
            // There are no measures on Sundays.
            if hour < 144 {
                (0..360).for_each(|_| season.learn(hour, if busy { 2.0 } else { -1.0 }, 1.0 / 6.0));
            }
            assert_eq!(range(&season, hour, 0.2).is_some(), day * 3_600_000 >= 2 * WEEK);
        }
        assert_eq!(range(&season, 8, 0.2), Some((-1.0, -1.0)));
        assert_eq!(range(&season, 8, 0.7), Some((-1.0, 2.0)), "close to nine");
        assert_eq!(range(&season, 9, 0.2), Some((-1.0, 2.0)), "nine has just begun");
        assert_eq!(range(&season, 9, 0.6), Some((2.0, 2.0)));
        assert_eq!(season.expects(8, 0.75).map(|expected| expected.middle), Some(-0.25));
        assert_eq!(season.expects(9, 0.0).map(|expected| expected.middle), Some(0.5));
        assert_eq!(
            range(&season, 150, 0.6),
            Some((5.0, 5.0)),
            "an hour that was not learned has the level of the baseline"
        );
    }

    #[test]
    fn a_few_minutes_of_an_hour_teach_nothing_and_a_new_week_has_less_weight() {
        let mut season = Season::new(0);
        season.learn(3, 100.0, 10.0);
        season.learn(4, 1.0, 60.0);
        season.learn(5, 1.0, 60.0);
        season.learn(4, 2.0, 60.0);
        season.learn(5, 1.0, 60.0);
        assert!(season.begins(TWO_WEEKS, 0.0));
        assert_eq!(range(&season, 3, 0.2), Some((0.0, 0.0)));
        let (_, four) = range(&season, 4, 0.2).unwrap();
        assert!((four - 1.4).abs() < 0.01, "{four}");
    }

    proptest! {
        #[test]
        fn half_a_float_is_accurate_to_one_part_in_256(level in -1e30_f32..1e30) {
            let back = wide(narrow(level));
            prop_assert!((back - level).abs() <= level.abs() / 256.0 + f32::MIN_POSITIVE);
        }
    }
}

//! What is usual: a level and how far from it is nothing special.

use super::scale::Scale;

/// The level follows what is seen within so many minutes, the spread within four times as many.
const MEMORY: f64 = 30.0;

/// What is further away than so many deviations teaches no more than that.
const CLIP: f64 = 3.0;

/// After so many minutes there is nothing uncertain about level and spread.
const LEARNED: f64 = 600.0;

/// While something is out of the ordinary, it is learned at this part of the pace.
const RELUCTANCE: f64 = 0.1;

/// The mean deviation of a normal distribution, times that, is its standard deviation.
const OF_MEAN_DEVIATION: f64 = 1.2533;

/// The same for the median deviation.
const OF_MEDIAN_DEVIATION: f64 = 1.4826;

/// A level and a spread, on the scale of the sign.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usual {
    pub(super) level: f32,
    spread: f32,
    /// How many calls a value is usually made of.
    calls: f32,
    /// For how many minutes it has been learning.
    learned: f32,
}

impl Usual {
    #[allow(clippy::cast_possible_truncation)] // Small figures that need no more digits.
    pub(super) fn new(level: f64, calls: f64) -> Self {
        Self { level: level as f32, calls: calls as f32, ..Self::default() }
    }

    /// The standard deviation to expect of a value made of so many calls, at that place on the scale.
    ///
    /// A mean of a quarter of the calls is twice as noisy, and what was learned from few minutes is not sure yet.
    #[inline]
    pub(super) fn deviation(&self, scale: &Scale, place: f64, calls: f64) -> f64 {
        let (spread, usually) = (f64::from(self.spread), f64::from(self.calls));
        let fewer = if usually > calls { usually / calls } else { 1.0 };
        let variance = (spread * spread * fewer).max(scale.least_variance(place, calls));
        let learned = f64::from(self.learned);
        let unsure = if learned < LEARNED { 1.0 + 5.0 / (10.0 + learned) } else { 1.0 };
        variance.sqrt() * unsure
    }

    /// Learns from what was `rest` away from the level for so many minutes.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // Small figures that need no more digits.
    pub(super) fn learn(&mut self, rest: f64, deviation: f64, calls: f64, minutes: f64, odd: bool) {
        let believed = rest.clamp(-CLIP * deviation, CLIP * deviation);
        let minutes = if odd { minutes * RELUCTANCE } else { minutes };
        let (level, spread) = if f64::from(self.learned) < LEARNED {
            let learned = f64::from(self.learned) + minutes;
            self.learned = learned as f32;
            let pace = |memory: f64| if minutes > 0.0 { minutes / memory.min(learned) } else { 0.0 };
            (pace(MEMORY), pace(4.0 * MEMORY))
        } else {
            (minutes * (1.0 / MEMORY), minutes * (0.25 / MEMORY))
        };
        let usually = f64::from(self.calls);
        let weight = if calls < usually { calls / usually } else { 1.0 };
        self.level += (level * weight * believed) as f32;
        self.calls += (level * (calls - usually)) as f32;
        let apart = OF_MEAN_DEVIATION * believed.abs() * if weight < 1.0 { weight.sqrt() } else { 1.0 };
        self.spread += (spread * weight * (apart - f64::from(self.spread))) as f32;
    }

    /// Ends the warm-up: what was odd in it, such as first calls to a cold cache, is left behind by the medians.
    #[allow(clippy::cast_possible_truncation)] // Small figures that need no more digits.
    pub(super) fn begin(&mut self, level: f64, median_deviation: f64) {
        self.level = level as f32;
        self.spread = self.spread.max((OF_MEDIAN_DEVIATION * median_deviation) as f32);
    }

    /// What was odd is usual from now on. How much it spreads has to be learned again.
    #[allow(clippy::cast_possible_truncation)] // Small figures that need no more digits.
    pub(super) fn settle(&mut self, level: f64, median_deviation: f64) {
        self.begin(level, median_deviation);
        self.learned = self.learned.min(MEMORY as f32);
    }
}

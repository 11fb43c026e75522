//! What is usual: a level and how far from it is nothing special.

use super::scale::Scale;

/// The level follows what is seen within so many minutes, the spread within four times as many.
const MEMORY: f64 = 30.0;

/// What is further away than so many deviations teaches no more than that.
const CLIP: f64 = 3.0;

/// After so many minutes there is nothing uncertain about level and spread.
const LEARNED: f64 = 600.0;

/// One minute is as alike to the next at most.
const ALIKE: f64 = 0.9;

/// Two hours of minutes that are not alike at all look as alike as this.
const CHANCE: f64 = 0.1;

/// What is taken for known before the first minute: that one minute is as alike to the next, as if this number of minutes said so.
const PRIOR: (f64, f64) = (0.3, 10.0);

/// Minutes of a stretch, the last of which count most. The mean of a stretch varies more when minutes are
/// alike.
const STRETCH: f64 = 10.0;

/// More correlated minutes than this say as much as an independent one, whatever was found: a shift must be seen before
/// it is usual.
const AS_ONE: f64 = 6.0;

/// How the variance of a stretch is remembered, in minutes.
const OF_STRETCHES: f64 = 480.0;

/// While something is out of the ordinary, it is learned at this part of the pace.
const RELUCTANCE: f64 = 0.1;

/// The mean deviation of a normal distribution, times that, is its standard deviation.
const OF_MEAN_DEVIATION: f64 = 1.2533;

/// The same for the median deviation.
const OF_MEDIAN_DEVIATION: f64 = 1.4826;

/// A level and a spread, on the scale of the sign.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Baseline {
    pub(super) level: f32,
    spread: f32,
    /// How many calls a value is usually made of.
    calls: f32,
    /// For how many minutes it has been learning.
    learned: f32,
    /// Deviations of the last whole minute; none after a gap.
    last: Option<f32>,
    /// The mean product of the deviations of one minute and the next, and the mean of their squares.
    product: f32,
    square: f32,
    /// The mean deviations of the last stretch, and the mean of its square.
    stretch: f32,
    of_stretches: f32,
}

impl Baseline {
    #[allow(clippy::cast_possible_truncation)] // Small figures that need no more digits.
    pub(super) fn new(level: f64, calls: f64) -> Self {
        let (product, square) = (PRIOR.0 as f32, 1.0);
        let of_stretches = ((1.0 + PRIOR.0) / (1.0 - PRIOR.0) / (2.0 * STRETCH - 1.0)) as f32;
        Self { level: level as f32, calls: calls as f32, product, square, of_stretches, ..Self::default() }
    }

    /// The correlation of one minute with the next as far as it is beyond chance, in 0..=[`ALIKE`]. It is the part of
    /// the variance that calls of a time have in common; the rest is the noise of single calls.
    #[inline]
    pub(super) fn correlation(&self) -> f64 {
        (self.found() - CHANCE).clamp(0.0, ALIKE)
    }

    fn found(&self) -> f64 {
        if self.square > 0.0 { f64::from(self.product / self.square) } else { 0.0 }
    }

    /// The number of correlated minutes that say as much as one that is independent.
    #[inline]
    pub(super) fn minutes_as_one(&self) -> f64 {
        let correlation = self.correlation();
        let next = (1.0 + correlation) / (1.0 - correlation);
        (f64::from(self.of_stretches) * (2.0 * STRETCH - 1.0)).max(next.min(2.0)).min(AS_ONE)
    }

    /// By how much the variance of a mean grows when it is made of `calls` where it was made of `usually`: only the
    /// noise of single calls does. What is common is taken for as little as it may be when calls get fewer, for as much
    /// when they get more.
    #[inline]
    fn growth(&self, usually: f64, calls: f64) -> f64 {
        let chance = if calls < usually { -CHANCE } else { CHANCE };
        let common = (self.found() + chance).clamp(0.0, 1.0);
        common + (1.0 - common) * (usually / calls)
    }

    /// The standard deviation to expect of a value made of so many calls, at that place on the scale.
    ///
    /// A mean of fewer calls is noisier, and what was learned from few minutes is not sure yet. `error` is the standard
    /// error that the calls themselves tell of, beside what they have in common.
    #[inline]
    pub(super) fn deviation(&self, scale: &Scale, place: f64, calls: f64, error: f64) -> f64 {
        let (spread, usually) = (f64::from(self.spread), f64::from(self.calls));
        let fewer = if usually > calls { self.growth(usually, calls) } else { 1.0 };
        let told = self.correlation() * spread * spread + error * error;
        let variance = (spread * spread * fewer).max(told).max(scale.least_variance(place, calls));
        let learned = f64::from(self.learned).min(LEARNED) / self.minutes_as_one();
        variance.sqrt() * (1.0 + 4.0 / (10.0 + learned))
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
        let now = usually + level * (calls - usually);
        self.calls = now as f32;
        // The spread is that of a mean of as many calls as are usual, so it follows their number at once.
        let grown = f64::from(self.spread) * self.growth(usually, now).sqrt();
        if now < usually {
            // How a mean of fewer calls spreads was not seen yet.
            self.learned =
                self.learned.min((f64::from(self.learned) * (now / usually).sqrt()).max(2.0 * MEMORY) as f32);
        }
        let apart = OF_MEAN_DEVIATION * believed.abs() * if weight < 1.0 { weight.sqrt() } else { 1.0 };
        self.spread = (grown + spread * weight * (apart - grown)) as f32;
    }

    /// Takes in the deviations of a whole minute, the next after the last one unless there was a gap.
    #[allow(clippy::cast_possible_truncation)] // Small figures that need no more digits.
    pub(super) fn minute(&mut self, z: f64, gap: bool, odd: bool) {
        let z = z.clamp(-CLIP, CLIP) as f32;
        self.stretch += (z - self.stretch) / STRETCH as f32;
        let known = (f64::from(self.learned) + 3.0 * STRETCH).min(OF_STRETCHES);
        let pace = (if odd { RELUCTANCE } else { 1.0 } / known) as f32;
        self.of_stretches += pace * (self.stretch * self.stretch - self.of_stretches);
        if let Some(last) = self.last.replace(z).filter(|_| !gap) {
            let known = (f64::from(self.learned) + PRIOR.1).min(4.0 * MEMORY);
            let pace = (if odd { RELUCTANCE } else { 1.0 } / known) as f32;
            self.product += pace * (z * last - self.product);
            self.square += pace * (z * z - self.square);
        }
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

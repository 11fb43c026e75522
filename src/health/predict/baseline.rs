//! The usual values of a vital sign: a level and a spread around it.

use super::scale::Scale;

/// The level follows the values within this many minutes, the spread within four times as many.
const MEMORY: f64 = 30.0;

/// A value further away than this many deviations is learned as if it were this far away.
const CLIP: f64 = 3.0;

/// Minutes after which level and spread are certain.
const LEARNED: f64 = 600.0;

/// Maximum correlation of one minute with the next.
const MAX_CORRELATION: f64 = 0.9;

/// The correlation that two hours of independent minutes may show by chance.
const CHANCE: f64 = 0.1;

/// The correlation that is assumed before the first minute, and the number of minutes that it counts for.
const PRIOR: (f64, f64) = (0.3, 10.0);

/// Minutes of a stretch. The last ones have the most weight. The mean of a stretch varies more if its minutes are
/// correlated.
const STRETCH: f64 = 10.0;

/// Maximum number of correlated minutes that count as one independent minute: a shift must be detected before it is
/// learned as usual.
const MAX_MINUTES_AS_ONE: f64 = 6.0;

/// The variance of stretches is averaged over this many minutes.
const STRETCH_MEMORY: f64 = 480.0;

/// The part of the usual pace at which unusual values are learned.
const SLOW_PACE: f64 = 0.1;

/// The ratio of the standard deviation to the mean deviation, for a normal distribution.
const OF_MEAN_DEVIATION: f64 = 1.2533;

/// The ratio of the standard deviation to the median deviation.
const OF_MEDIAN_DEVIATION: f64 = 1.4826;

/// A level and a spread, on the scale of the sign.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Baseline {
    pub(super) level: f32,
    spread: f32,
    /// The usual number of calls of a value.
    calls: f32,
    /// Minutes learned so far.
    learned: f32,
    /// The deviation of the last whole minute.
    last: Option<f32>,
    /// The mean product of the deviations of consecutive minutes, and the mean square of the deviations.
    product: f32,
    square: f32,
    /// The mean deviation of the last stretch, and the mean square of that.
    stretch: f32,
    of_stretches: f32,
}

impl Baseline {
    #[allow(clippy::cast_possible_truncation)] // `f32` is precise enough.
    pub(super) fn new(level: f64, calls: f64) -> Self {
        let (product, square) = (PRIOR.0 as f32, 1.0);
        let of_stretches = ((1.0 + PRIOR.0) / (1.0 - PRIOR.0) / (2.0 * STRETCH - 1.0)) as f32;
        Self { level: level as f32, calls: calls as f32, product, square, of_stretches, ..Self::default() }
    }

    /// The correlation of one minute with the next beyond chance, in 0..=[`MAX_CORRELATION`]. It is the part of the
    /// variance that all calls of a minute share; the rest is the noise of single calls.
    #[inline]
    pub(super) fn correlation(&self) -> f64 {
        (self.measured_correlation() - CHANCE).clamp(0.0, MAX_CORRELATION)
    }

    fn measured_correlation(&self) -> f64 {
        if self.square > 0.0 { f64::from(self.product / self.square) } else { 0.0 }
    }

    /// The number of correlated minutes that count as one independent minute.
    #[inline]
    pub(super) fn minutes_as_one(&self) -> f64 {
        let correlation = self.correlation();
        let next = (1.0 + correlation) / (1.0 - correlation);
        (f64::from(self.of_stretches) * (2.0 * STRETCH - 1.0)).max(next.min(2.0)).min(MAX_MINUTES_AS_ONE)
    }

    /// The factor by which the variance of a mean changes when it is made of `calls` calls instead of `usually`. Only the
    /// noise of single calls changes. The shared part is estimated low if there are fewer calls, and high if there are
    /// more.
    #[inline]
    fn growth(&self, usually: f64, calls: f64) -> f64 {
        let chance = if calls < usually { -CHANCE } else { CHANCE };
        let common = (self.measured_correlation() + chance).clamp(0.0, 1.0);
        common + (1.0 - common) * (usually / calls)
    }

    /// The expected standard deviation of a value made of `calls` calls, at `position` on the scale.
    ///
    /// A mean of fewer calls is noisier, and a baseline of few minutes is uncertain. `error` is the standard error that was
    /// estimated from the calls themselves; it does not include what they share.
    #[inline]
    pub(super) fn deviation(&self, scale: &Scale, position: f64, calls: f64, error: f64) -> f64 {
        let (spread, usually) = (f64::from(self.spread), f64::from(self.calls));
        let fewer = if usually > calls { self.growth(usually, calls) } else { 1.0 };
        let of_calls = self.correlation() * spread * spread + error * error;
        let variance = (spread * spread * fewer).max(of_calls).max(scale.least_variance(position, calls));
        let learned = f64::from(self.learned).min(LEARNED) / self.minutes_as_one();
        variance.sqrt() * (1.0 + 4.0 / (10.0 + learned))
    }

    /// Learns from a value that was `residual` away from the level for `minutes` minutes.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // `f32` is precise enough.
    pub(super) fn learn(&mut self, residual: f64, deviation: f64, calls: f64, minutes: f64, slowly: bool) {
        let clipped = residual.clamp(-CLIP * deviation, CLIP * deviation);
        let minutes = if slowly { minutes * SLOW_PACE } else { minutes };
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
        self.level += (level * weight * clipped) as f32;
        let now = usually + level * (calls - usually);
        self.calls = now as f32;
        // The spread is that of a mean of the usual number of calls, so it changes with that number at once.
        let grown = f64::from(self.spread) * self.growth(usually, now).sqrt();
        if now < usually {
            // The spread of a mean of fewer calls was not measured yet.
            self.learned =
                self.learned.min((f64::from(self.learned) * (now / usually).sqrt()).max(2.0 * MEMORY) as f32);
        }
        let apart = OF_MEAN_DEVIATION * clipped.abs() * if weight < 1.0 { weight.sqrt() } else { 1.0 };
        self.spread = (grown + spread * weight * (apart - grown)) as f32;
    }

    /// Adds the deviation of a whole minute. `gap` says whether there was a gap before it.
    #[allow(clippy::cast_possible_truncation)] // `f32` is precise enough.
    pub(super) fn add_minute(&mut self, z: f64, gap: bool, slowly: bool) {
        let z = z.clamp(-CLIP, CLIP) as f32;
        self.stretch += (z - self.stretch) / STRETCH as f32;
        let known = (f64::from(self.learned) + 3.0 * STRETCH).min(STRETCH_MEMORY);
        let pace = (if slowly { SLOW_PACE } else { 1.0 } / known) as f32;
        self.of_stretches += pace * (self.stretch * self.stretch - self.of_stretches);
        if let Some(last) = self.last.replace(z).filter(|_| !gap) {
            let known = (f64::from(self.learned) + PRIOR.1).min(4.0 * MEMORY);
            let pace = (if slowly { SLOW_PACE } else { 1.0 } / known) as f32;
            self.product += pace * (z * last - self.product);
            self.square += pace * (z * z - self.square);
        }
    }

    /// Ends the warm-up. Medians ignore its outliers, such as first calls with a cold cache.
    #[allow(clippy::cast_possible_truncation)] // `f32` is precise enough.
    pub(super) fn end_warm_up(&mut self, level: f64, median_deviation: f64) {
        self.level = level as f32;
        self.spread = self.spread.max((OF_MEDIAN_DEVIATION * median_deviation) as f32);
    }

    /// Makes the unusual level the usual one. The spread must be learned again.
    #[allow(clippy::cast_possible_truncation)] // `f32` is precise enough.
    pub(super) fn settle(&mut self, level: f64, median_deviation: f64) {
        self.end_warm_up(level, median_deviation);
        self.learned = self.learned.min(MEMORY as f32);
    }
}

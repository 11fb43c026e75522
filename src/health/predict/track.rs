//! One vital sign over time.

use std::time::Duration;

use super::baseline::Baseline;
use super::measure::{Measure, Timestamp, millis};
use super::scale::Scale;
use super::season::{Expected, Season};
use super::series::Series;
use super::settings::PredictSettings;
use super::shift::Shift;
use super::trend;
use crate::health::outlook::{Anomaly, Forecast, VitalSign};

/// Minimum distance between two points of the near series, in milliseconds: a little less than a minute, because rounds
/// are not exactly on time.
const NEAR: u64 = 59_000;

/// The number of near points that make a far one: half an hour.
const FAR: u16 = 30;

/// After a gap of this many milliseconds, the values before it do not belong to the current trend.
const GAP: u64 = 600_000;

/// A trend is extrapolated up to this multiple of the time that its points span.
const REACH: f64 = 8.0;

/// A season is learned, which takes memory, only after this many milliseconds.
const DAY: u64 = 86_400_000;

/// Values must be less than this.
const MAX_VALUE: f64 = 1e30;

/// The state of one vital sign.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) sign: VitalSign,
    /// Whether the warm-up is over.
    ready: bool,
    /// In milliseconds since the first round: the first measure, the last one, and the beginning of the shift.
    first: u64,
    pub(super) last: u64,
    shifted_at: u64,
    /// Minutes of measures, without gaps.
    seen: f32,
    /// The distance of the last value from the usual one, in deviations.
    z: f32,
    value: f64,
    limit: f64,
    baseline: Baseline,
    shift: Shift,
    alarm: Alarm,
    near: Series,
    far: Series,
    /// The sum and number of the near points that make the next far one.
    sum: f32,
    summed: u16,
    season: Option<Box<Season>>,
}

/// Whether single values are unusual.
#[derive(Clone, Copy, Debug, Default)]
struct Alarm {
    /// The deviation that first exceeded half the limit, and when.
    first: f32,
    first_at: u64,
    on: bool,
}

impl Alarm {
    /// An alarm starts to form, and ends, at half the limit. A single call that affects the mean of a minute does not make
    /// it grow from one round to the next. So a deviation counts when it grew or outlasts that minute. Two unusual minutes
    /// in a row count below the limit already, unless `correlation` says that minutes are alike anyway.
    #[allow(clippy::cast_possible_truncation)] // `f32` is precise enough.
    fn update(&mut self, z: f64, at: u64, limit: f64, correlation: f64, per_minute: bool) {
        let first = f64::from(self.first);
        if z.abs() < limit / 2.0 || z * first < 0.0 {
            *self = Self::default();
        } else if self.first == 0.0 {
            (self.first, self.first_at) = (z as f32, at);
        } else {
            let since = at.saturating_sub(self.first_at);
            let lasts = since >= if per_minute { 70_000 } else { 1 };
            let grew = since > 0 && z.abs() >= 1.25 * first.abs();
            self.on |= z.abs() >= limit && (lasts || grew);
            let again = 0.75 + 0.5 * correlation;
            self.on |= z.abs() >= again.min(1.0) * limit && since >= 90_000;
        }
    }
}

impl Alarm {
    /// Whether it may be on soon: the value has been further from the usual one, for more than a minute, than chance often
    /// makes it.
    fn is_suspect(&self, at: u64) -> bool {
        self.first != 0.0 && at.saturating_sub(self.first_at) >= 70_000
    }
}

impl Track {
    pub(super) fn new(sign: VitalSign) -> Self {
        Self {
            sign,
            ready: false,
            first: 0,
            last: 0,
            shifted_at: 0,
            seen: 0.0,
            z: 0.0,
            value: f64::NAN,
            limit: f64::INFINITY,
            baseline: Baseline::default(),
            shift: Shift::default(),
            alarm: Alarm::default(),
            near: Series::default(),
            far: Series::default(),
            sum: 0.0,
            summed: 0,
            season: None,
        }
    }

    #[allow(clippy::cast_possible_truncation)] // `f32` is precise enough.
    pub(super) fn update(&mut self, now: &Timestamp, measure: &Measure, settings: &PredictSettings) {
        let (value, calls) = (measure.value, measure.weight);
        // Ignores means without calls, NaN, huge values and measures older than the last one.
        if !(value.abs() < MAX_VALUE && calls > 0.0 && calls < MAX_VALUE) || now.at < self.last {
            return;
        }
        let scale = Scale::of(self.sign);
        let position = scale.scaled(value);
        self.limit = measure.limit;
        if self.value.is_nan() {
            (self.first, self.last) = (now.at, now.at);
            self.baseline = Baseline::new(position, calls);
        }
        let gap = now.at - self.last;
        (self.value, self.last) = (value, now.at);
        let minutes = milliseconds(gap.min(60_000)) * (1.0 / 60_000.0);
        self.seen += minutes as f32;
        if gap > 2 * NEAR {
            self.alarm = Alarm::default();
        }

        let level = f64::from(self.baseline.level);
        let season = self.season(now);
        let expected = level + (position - level).clamp(season.low, season.high);
        let residual = position - expected;
        let error = scale.scaled_error(value, measure.error);
        let per_deviation = 1.0 / self.baseline.deviation(scale, expected, calls, error);
        let z = residual * per_deviation;
        if self.ready {
            self.z = z as f32;
            let correlation = self.baseline.correlation();
            self.alarm.update(z, now.at, settings.deviations, correlation, scale.per_minute);
            let before = self.shift.direction();
            let independent = minutes / self.baseline.minutes_as_one();
            self.shift.update(z, (scale.drift(expected) * per_deviation).max(0.5), independent);
            if before == 0 {
                self.shifted_at = now.at;
            }
        }
        let unusual = self.is_unusual();
        // The baseline learns slowly from values that may be unusual.
        let slowly = unusual || self.alarm.is_suspect(now.at);
        let deviation = self.baseline.deviation(scale, expected, calls, 0.0);
        // Where the season is steep, a value says little about level and spread.
        if season.high - season.low <= 2.0 * deviation {
            self.baseline.learn(position - level - season.middle, deviation, calls, minutes, slowly);
        }
        if self.add_points(now.at, gap, value) {
            self.baseline.add_minute(z, gap > 2 * NEAR, slowly);
        }
        if !self.ready && f64::from(self.seen) * 60.0 >= settings.warm_up.as_secs_f64() {
            self.ready = true;
            let (level, spread) = self.recent(scale);
            self.baseline.end_warm_up(level, spread);
        } else if unusual && now.at.saturating_sub(self.unusual_since()) >= millis(settings.settled_after) {
            let (level, spread) = self.recent(scale);
            self.baseline.settle(level - season.middle, spread);
            (self.alarm, self.shift) = (Alarm::default(), Shift::default());
        }
        if scale.seasonal {
            self.learn_season(now, position, minutes);
        }
    }

    /// Adds the value to the near and far series. Returns whether a whole minute has passed.
    #[allow(clippy::cast_possible_truncation)] // Enough for 136 years.
    fn add_points(&mut self, at: u64, gap: u64, value: f64) -> bool {
        if gap > GAP {
            self.near.clear();
            (self.sum, self.summed) = (0.0, 0);
        }
        if gap > u64::from(FAR) * GAP {
            self.far.clear();
        }
        let second = (at / 1_000) as u32;
        if self.near.last().is_some_and(|last| at.saturating_sub(u64::from(last) * 1_000) < NEAR) {
            return false;
        }
        self.near.push(second, value as f32);
        self.sum += value as f32;
        self.summed += 1;
        if self.summed == FAR {
            let middle = second.saturating_sub(u32::from(FAR) * 30);
            self.far.push(middle, self.sum / f32::from(FAR));
            (self.sum, self.summed) = (0.0, 0);
        }
        true
    }

    /// The level of the last minutes and the deviation from it, by medians, on the scale.
    fn recent(&self, scale: &Scale) -> (f64, f64) {
        let level = scale.scaled(self.near.median());
        (level, self.near.deviation(level, |value| scale.scaled(value)))
    }

    #[allow(clippy::cast_possible_truncation)] // `f32` is precise enough.
    fn learn_season(&mut self, now: &Timestamp, position: f64, minutes: f64) {
        match &mut self.season {
            Some(season) => {
                season.learn(now.hour, position as f32, minutes as f32);
                if season.begins(now.at, self.baseline.level)
                    && let Some(expected) = season.expects(now.hour, now.part)
                {
                    // From now on the level is relative to the season.
                    self.baseline.level -= expected.middle as f32;
                }
            }
            None if now.at - self.first >= DAY => self.season = Some(Box::new(Season::new(now.at))),
            None => {}
        }
    }

    #[cfg(test)]
    pub(super) fn has_season(&self) -> bool {
        self.season.is_some()
    }

    fn season(&self, now: &Timestamp) -> Expected {
        let season = self.season.as_deref().and_then(|season| season.expects(now.hour, now.part));
        season.unwrap_or_default()
    }

    fn is_unusual(&self) -> bool {
        self.alarm.on || self.shift.direction() != 0
    }

    fn unusual_since(&self) -> u64 {
        match (self.alarm.on, self.shift.direction()) {
            (true, 0) => self.alarm.first_at,
            (false, _) => self.shifted_at,
            (true, _) => self.shifted_at.min(self.alarm.first_at),
        }
    }

    /// The part of the warm-up that is done; `None` once it is over.
    pub(super) fn learning(&self, settings: &PredictSettings) -> Option<f64> {
        let part = f64::from(self.seen) * 60.0 / settings.warm_up.as_secs_f64();
        (!self.ready).then(|| part.clamp(0.0, 0.999))
    }

    /// The anomaly, if the sign is unusual.
    pub(super) fn anomaly(&self, now: &Timestamp) -> Option<Anomaly> {
        if !self.is_unusual() {
            return None;
        }
        let scale = Scale::of(self.sign);
        let (level, position) = (f64::from(self.baseline.level), scale.scaled(self.value));
        let season = self.season(now);
        let expected = level + (position - level).clamp(season.low, season.high);
        Some(Anomaly {
            sign: self.sign,
            value: self.value,
            usual: scale.unscaled(expected),
            z: f64::from(self.z),
            shifted: self.shift.direction() != 0,
        })
    }

    /// When the sign reaches its limit.
    #[allow(clippy::cast_possible_truncation)] // Enough for 136 years.
    pub(super) fn forecast(&self, settings: &PredictSettings) -> Option<Forecast> {
        if !self.ready || self.value >= self.limit {
            return None;
        }
        let horizon = settings.horizon.as_secs_f64();
        // The near series shows a change first, the far one looks further ahead.
        let arrival = [&self.near, &self.far].into_iter().find_map(|series| {
            trend::arrival(series, (self.last / 1_000) as u32, self.limit, horizon.min(REACH * series.span()))
        })?;
        Some(Forecast {
            sign: self.sign,
            per_minute: arrival.slope * 60.0,
            limit: self.limit,
            reaches_limit_in: Duration::try_from_secs_f64(arrival.after).ok()?,
            confidence: arrival.confidence,
        })
    }
}

#[allow(clippy::cast_precision_loss)] // At most a minute.
fn milliseconds(gap: u64) -> f64 {
    gap as f64
}

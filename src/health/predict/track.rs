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

/// Between two points of the near series, in milliseconds: a little less than a minute, which rounds may miss by a bit.
const NEAR: u64 = 59_000;

/// As many near points make a far one: half an hour.
const FAR: u16 = 30;

/// After a gap of as many milliseconds, what was before it says nothing about where it is going now.
const GAP: u64 = 600_000;

/// A trend is drawn out no further than so many times the time it was seen for.
const REACH: f64 = 8.0;

/// A season is worth its memory from here on, in milliseconds.
const DAY: u64 = 86_400_000;

/// Nothing that is measured is as large.
const HUGE: f64 = 1e30;

#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) sign: VitalSign,
    /// Whether the warm-up is over.
    ready: bool,
    /// Milliseconds since the start: of the first measure, of the last, and since when the level is shifted.
    first: u64,
    pub(super) last: u64,
    shifted_at: u64,
    /// Minutes of measures, gaps left out.
    seen: f32,
    /// How far the last one was from what is usual, in deviations.
    z: f32,
    value: f64,
    limit: f64,
    baseline: Baseline,
    shift: Shift,
    alarm: Alarm,
    near: Series,
    far: Series,
    /// The near points that will be the next far one.
    sum: f32,
    summed: u16,
    season: Option<Box<Season>>,
}

/// Whether something is out of the ordinary.
#[derive(Clone, Copy, Debug, Default)]
struct Alarm {
    /// Deviations when they first went beyond half of the limit, and when that was.
    first: f32,
    first_at: u64,
    on: bool,
}

impl Alarm {
    /// Half of the limit begins it and ends it. What the mean of a minute owes to one now does not grow from one
    /// look to the next: it is believed when it grew, or outlives that minute. Two minutes in a row are believed at
    /// less than the limit.
    ///
    /// That holds for minutes that are independent; what one has in common with the next says nothing new.
    #[allow(clippy::cast_possible_truncation)] // Deviations need no more digits.
    fn update(&mut self, z: f64, at: u64, limit: f64, correlation: f64, of_a_minute: bool) {
        let first = f64::from(self.first);
        if z.abs() < limit / 2.0 || z * first < 0.0 {
            *self = Self::default();
        } else if self.first == 0.0 {
            (self.first, self.first_at) = (z as f32, at);
        } else {
            let since = at.saturating_sub(self.first_at);
            let lasts = since >= if of_a_minute { 70_000 } else { 1 };
            let grew = since > 0 && z.abs() >= 1.25 * first.abs();
            self.on |= z.abs() >= limit && (lasts || grew);
            let again = 0.75 + 0.5 * correlation;
            self.on |= z.abs() >= again.min(1.0) * limit && since >= 90_000;
        }
    }
}

impl Alarm {
    /// Whether it may be on before long: a minute and more are further from usual than chance often takes one.
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

    #[allow(clippy::cast_possible_truncation)] // Floats of half the width are enough for what is kept.
    pub(super) fn update(&mut self, now: &Timestamp, measure: &Measure, settings: &PredictSettings) {
        let (value, calls) = (measure.value, measure.weight);
        // A mean of no calls, what is no number, and what was measured before the last one.
        if !(value.abs() < HUGE && calls > 0.0 && calls < HUGE) || now.at < self.last {
            return;
        }
        let scale = Scale::of(self.sign);
        let place = scale.place_of(value);
        self.limit = measure.limit;
        if self.value.is_nan() {
            (self.first, self.last) = (now.at, now.at);
            self.baseline = Baseline::new(place, calls);
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
        let expected = level + (place - level).clamp(season.low, season.high);
        let rest = place - expected;
        let error = scale.error_at(value, measure.error);
        let one = 1.0 / self.baseline.deviation(scale, expected, calls, error);
        let z = rest * one;
        if self.ready {
            self.z = z as f32;
            let correlation = self.baseline.correlation();
            self.alarm.update(z, now.at, settings.deviations, correlation, scale.of_a_minute);
            let before = self.shift.direction();
            let independent = minutes / self.baseline.minutes_as_one();
            self.shift.update(z, (scale.drift(expected) * one).max(0.5), independent);
            if before == 0 {
                self.shifted_at = now.at;
            }
        }
        let odd = self.is_odd();
        // What may be trouble is not learned as if it were usual.
        let reluctant = odd || self.alarm.is_suspect(now.at);
        let deviation = self.baseline.deviation(scale, expected, calls, 0.0);
        // Where the season is steep, what is found says little about level and spread.
        if season.high - season.low <= 2.0 * deviation {
            self.baseline.learn(place - level - season.middle, deviation, calls, minutes, reluctant);
        }
        if self.keep(now.at, gap, value) {
            self.baseline.minute(z, gap > 2 * NEAR, reluctant);
        }
        if !self.ready && f64::from(self.seen) * 60.0 >= settings.warm_up.as_secs_f64() {
            self.ready = true;
            let (level, spread) = self.of_late(scale);
            self.baseline.begin(level, spread);
        } else if odd && now.at.saturating_sub(self.odd_since()) >= millis(settings.settled_after) {
            let (level, spread) = self.of_late(scale);
            self.baseline.settle(level - season.middle, spread);
            (self.alarm, self.shift) = (Alarm::default(), Shift::default());
        }
        if scale.seasonal {
            self.learn_season(now, place, minutes);
        }
    }

    /// Points of the near series, and of the far one. Whether a whole minute is over.
    #[allow(clippy::cast_possible_truncation)] // Seconds of 136 years.
    fn keep(&mut self, at: u64, gap: u64, value: f64) -> bool {
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
    fn of_late(&self, scale: &Scale) -> (f64, f64) {
        let level = scale.place_of(self.near.median());
        (level, self.near.deviation(level, |value| scale.place_of(value)))
    }

    #[allow(clippy::cast_possible_truncation)] // Floats of half the width are enough for what is kept.
    fn learn_season(&mut self, now: &Timestamp, place: f64, minutes: f64) {
        match &mut self.season {
            Some(season) => {
                season.learn(now.hour, place as f32, minutes as f32);
                if season.begins(now.at, self.baseline.level)
                    && let Some(expected) = season.expects(now.hour, now.part)
                {
                    // From now on the level is what is left when the season is taken off.
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

    fn is_odd(&self) -> bool {
        self.alarm.on || self.shift.direction() != 0
    }

    fn odd_since(&self) -> u64 {
        match (self.alarm.on, self.shift.direction()) {
            (true, 0) => self.alarm.first_at,
            (false, _) => self.shifted_at,
            (true, _) => self.shifted_at.min(self.alarm.first_at),
        }
    }

    /// `None` as soon as enough is known; until then the part of the warm-up that is done.
    pub(super) fn learning(&self, settings: &PredictSettings) -> Option<f64> {
        let part = f64::from(self.seen) * 60.0 / settings.warm_up.as_secs_f64();
        (!self.ready).then(|| part.clamp(0.0, 0.999))
    }

    /// What is not as usual about it.
    pub(super) fn anomaly(&self, now: &Timestamp) -> Option<Anomaly> {
        if !self.is_odd() {
            return None;
        }
        let scale = Scale::of(self.sign);
        let (level, place) = (f64::from(self.baseline.level), scale.place_of(self.value));
        let season = self.season(now);
        let expected = level + (place - level).clamp(season.low, season.high);
        Some(Anomaly {
            sign: self.sign,
            value: self.value,
            usual: scale.value_at(expected),
            z: f64::from(self.z),
            shifted: self.shift.direction() != 0,
        })
    }

    /// When it reaches its limit.
    #[allow(clippy::cast_possible_truncation)] // Seconds of 136 years.
    pub(super) fn forecast(&self, settings: &PredictSettings) -> Option<Forecast> {
        if !self.ready || self.value >= self.limit {
            return None;
        }
        let horizon = settings.horizon.as_secs_f64();
        // The near series knows of a change first, the far one sees further.
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

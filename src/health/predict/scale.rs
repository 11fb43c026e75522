//! The scale on which each vital sign is compared, its minimum noise, and which direction is worse.
//!
//! The noise of an error share grows with the share, that of a count with the count, and that of a duration is a factor.
//! On a scale of square roots or logarithms the noise is about the same everywhere. So one spread fits a quiet night and a
//! busy day, and calls that take twice as long are as unusual at 5 ms as at 500 ms.

use crate::health::outlook::VitalSign;

/// How a vital sign is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    kind: Kind,
    /// The minimum spread: smaller deviations do not matter.
    floor: f64,
    /// The variance of a single call, for values that are made of calls: the variance of a mean is this divided by the
    /// number of calls.
    one_call: f64,
    /// Half of the smallest shift that is reported; of a rate, as a part of the rate.
    drift: f64,
    /// Whether the value covers the calls of the last minute: a single moment affects it for a minute.
    pub(super) per_minute: bool,
    /// Whether it depends on the hour of the week.
    pub(super) seasonal: bool,
    /// 1 when more is worse, -1 when less is.
    pub(super) worse: f64,
    /// The maximum risk of an anomaly.
    pub(super) weight: f64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Linear,
    /// The square root of the value times this factor.
    Root(f64),
    Logarithm,
}

/// The shortest duration that differs from 0, in seconds.
const SHORTEST: f64 = 1e-9;

impl Scale {
    #[inline]
    pub(super) fn of(sign: VitalSign) -> &'static Self {
        match sign {
            VitalSign::ErrorShare => &ERROR_SHARE,
            VitalSign::MeanDuration => &MEAN_DURATION,
            VitalSign::Rate => &RATE,
            VitalSign::Letters => &LETTERS,
            VitalSign::CpuUsage => &CPU,
            VitalSign::MemoryUsage => &MEMORY,
            VitalSign::DiskUsage => &DISK,
            VitalSign::Temperature => &TEMPERATURE,
        }
    }

    /// A value on the scale.
    #[inline]
    pub(super) fn scaled(&self, value: f64) -> f64 {
        match self.kind {
            Kind::Linear => value,
            Kind::Root(times) => (value.max(0.0) * times).sqrt(),
            Kind::Logarithm => value.max(SHORTEST).ln(),
        }
    }

    /// The value at a position on the scale.
    pub(super) fn unscaled(&self, position: f64) -> f64 {
        match self.kind {
            Kind::Linear => position,
            Kind::Root(times) => position.max(0.0).powi(2) / times,
            Kind::Logarithm => position.exp(),
        }
    }

    /// The standard error of a value, on the scale; 0 if unknown.
    ///
    /// A few very long calls make a mean both large and uncertain.
    #[inline]
    pub(super) fn scaled_error(&self, value: f64, error: f64) -> f64 {
        match self.kind {
            Kind::Logarithm if error > 0.0 && error < f64::INFINITY => error / value.max(SHORTEST),
            _ => 0.0,
        }
    }

    /// The minimum variance of a value made of `calls` calls, near `position` on the scale.
    #[inline]
    pub(super) fn least_variance(&self, position: f64, calls: f64) -> f64 {
        match self.kind {
            // A count has its own noise, and some minutes are busier than others. Without the constant, a count of 0 would be
            // too unlikely.
            Kind::Root(times) if times > 1.0 => 0.5 + (self.floor * position).powi(2),
            _ => self.floor * self.floor + self.one_call / calls,
        }
    }

    /// Half of the smallest shift that is reported, near `position` on the scale.
    #[inline]
    pub(super) fn drift(&self, position: f64) -> f64 {
        match self.kind {
            Kind::Root(times) if times > 1.0 => self.drift * position,
            _ => self.drift,
        }
    }
}

const USAGE: Scale = Scale {
    kind: Kind::Linear,
    floor: 0.02,
    one_call: 0.0,
    drift: 0.02,
    per_minute: false,
    seasonal: false,
    worse: 1.0,
    weight: 0.3,
};

/// The noise of a share is that of the binomial distribution: on the scale of square roots at most 0.5 for one call. The
/// floor is half a percentage point without errors, and two percentage points at 4 %.
const ERROR_SHARE: Scale = Scale {
    kind: Kind::Root(1.0),
    floor: 0.02,
    one_call: 0.25,
    drift: 0.02,
    per_minute: true,
    weight: 0.8,
    ..USAGE
};

/// Differences of 5 % are noise, and single calls vary by 50 %.
const MEAN_DURATION: Scale = Scale {
    kind: Kind::Logarithm,
    floor: 0.05,
    one_call: 0.25,
    drift: 0.1,
    per_minute: true,
    seasonal: true,
    weight: 0.6,
    ..USAGE
};

/// On the scale of the square root of calls per minute, the variance of any number of independent calls is 0.25.
const RATE: Scale = Scale {
    kind: Kind::Root(60.0),
    floor: 0.05,
    drift: 0.1,
    per_minute: true,
    seasonal: true,
    worse: -1.0,
    weight: 0.2,
    ..USAGE
};

const LETTERS: Scale = Scale { kind: Kind::Root(1.0), floor: 0.5, drift: 0.5, weight: 0.6, ..USAGE };

const CPU: Scale = Scale { floor: 0.05, drift: 0.05, ..USAGE };

const MEMORY: Scale = USAGE;

const DISK: Scale = Scale { floor: 0.01, drift: 0.01, ..USAGE };

/// In degrees.
const TEMPERATURE: Scale = Scale { floor: 2.0, drift: 2.0, ..USAGE };

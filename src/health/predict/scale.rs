//! How each vital sign is looked at: on which scale, with which noise at least, and which way is worse.
//!
//! The noise of a share of errors grows with the share, that of a count with the count, and that of durations is a
//! factor. On the scale of square roots and of logarithms it is about the same everywhere, so that one spread fits a quiet night
//! and a busy day, and calls that take twice as long are as unusual at 5 ms as at 500 ms.

use crate::health::outlook::VitalSign;

/// How a sign is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    kind: Kind,
    /// A spread below it is none: what is so small matters to nobody.
    floor: f64,
    /// The noise of one call, where a value is made of calls: that of many is less by the root of their number.
    of_one_call: f64,
    /// Half of the smallest shift of the level that is worth telling; of a rate, as a part of it.
    drift: f64,
    /// Whether it is about the calls of the last minute: one moment is seen in it for as long.
    pub(super) of_a_minute: bool,
    /// Whether it has a season: people come and go by the hour and the day of the week.
    pub(super) seasonal: bool,
    /// 1 when more is worse, -1 when less is.
    pub(super) worse: f64,
    /// The most risk that an anomaly of it is.
    pub(super) weight: f64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Linear,
    /// The root of the value times that.
    Root(f64),
    Logarithm,
}

/// The shortest duration that is told from none, in seconds.
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
    pub(super) fn place_of(&self, value: f64) -> f64 {
        match self.kind {
            Kind::Linear => value,
            Kind::Root(times) => (value.max(0.0) * times).sqrt(),
            Kind::Logarithm => value.max(SHORTEST).ln(),
        }
    }

    /// What stands for a place on the scale.
    pub(super) fn value_at(&self, place: f64) -> f64 {
        match self.kind {
            Kind::Linear => place,
            Kind::Root(times) => place.max(0.0).powi(2) / times,
            Kind::Logarithm => place.exp(),
        }
    }

    /// The standard error of a value as one on the scale; 0 where it is not known.
    ///
    /// A few calls that take very long make a mean both large and unsure.
    #[inline]
    pub(super) fn error_at(&self, value: f64, error: f64) -> f64 {
        match self.kind {
            Kind::Logarithm if error > 0.0 && error < f64::INFINITY => error / value.max(SHORTEST),
            _ => 0.0,
        }
    }

    /// The least variance of a value that is made of so many calls, around that place on the scale.
    #[inline]
    pub(super) fn least_variance(&self, place: f64, calls: f64) -> f64 {
        match self.kind {
            // A count has noise of its own, and is busier one minute than the next. That it is 0 is no more unlikely than this.
            Kind::Root(times) if times > 1.0 => 0.5 + (self.floor * place).powi(2),
            _ => self.floor * self.floor + self.of_one_call / calls,
        }
    }

    /// Half of the smallest shift that is worth telling, around that place on the scale.
    #[inline]
    pub(super) fn drift(&self, place: f64) -> f64 {
        match self.kind {
            Kind::Root(times) if times > 1.0 => self.drift * place,
            _ => self.drift,
        }
    }
}

const USAGE: Scale = Scale {
    kind: Kind::Linear,
    floor: 0.02,
    of_one_call: 0.0,
    drift: 0.02,
    of_a_minute: false,
    seasonal: false,
    worse: 1.0,
    weight: 0.3,
};

/// A share of a few calls is as noisy as the binomial distribution has it: on the scale of roots at most a half for one call.
/// The floor is half a percentage point when there are no errors, and two when there are 4 %.
const ERROR_SHARE: Scale = Scale {
    kind: Kind::Root(1.0),
    floor: 0.02,
    of_one_call: 0.25,
    drift: 0.02,
    of_a_minute: true,
    weight: 0.8,
    ..USAGE
};

/// Five percent more or less are noise, and single calls vary by half.
const MEAN_DURATION: Scale = Scale {
    kind: Kind::Logarithm,
    floor: 0.05,
    of_one_call: 0.25,
    drift: 0.1,
    of_a_minute: true,
    seasonal: true,
    weight: 0.6,
    ..USAGE
};

/// On the scale of the root of the calls in a minute, the variance of any number of independent calls is a quarter.
const RATE: Scale = Scale {
    kind: Kind::Root(60.0),
    floor: 0.05,
    drift: 0.1,
    of_a_minute: true,
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

//! Delays between attempts.
//!
//! Callers that failed together must not retry together, so delays grow and have jitter. The three kinds of jitter are
//! those of Marc Brooker's "Exponential Backoff And Jitter" (AWS, 2015).
//!
//! # Example
//! ```
//! use campanile::{Backoff, Jitter};
//! use std::time::Duration;
//!
//! let backoff = Backoff::exponential(Duration::from_millis(25), Duration::from_secs(2)).jitter(Jitter::None);
//! assert_eq!(backoff.delay(0, Duration::ZERO), Duration::from_millis(25));
//! assert_eq!(backoff.delay(3, Duration::ZERO), Duration::from_millis(200));
//! assert_eq!(backoff.delay(60, Duration::ZERO), Duration::from_secs(2));
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// A growing delay with a cap.
///
/// What takes a backoff checks it: the first delay is more than zero, the cap is at least the first delay, and the factor is
/// at least 1. In a file it is a table, such as `{ first = "25ms", max = "2s", factor = 2.0, jitter = "equal" }`; `factor`
/// and `jitter` may be left out. The [module](crate::backoff) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// The first delay, more than zero.
    #[serde(with = "crate::base::duration")]
    first: Duration,
    /// The longest delay, including jitter.
    #[serde(with = "crate::base::duration")]
    max: Duration,
    /// The factor from each delay to the next; at least 1.
    #[serde(default = "two")]
    factor: f64,
    /// The kind of jitter.
    #[serde(default)]
    jitter: Jitter,
}

fn two() -> f64 {
    2.0
}

/// The random part of a delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jitter {
    /// None: the delay is exact.
    None,
    /// Full: between zero and the delay.
    Full,
    /// Equal: between half the delay and the delay.
    #[default]
    Equal,
    /// Decorrelated: between the first delay and three times the previous delay.
    Decorrelated,
}

impl Backoff {
    /// Doubles from `first` to `max`, with equal jitter.
    #[must_use]
    pub const fn exponential(first: Duration, max: Duration) -> Self {
        Self { first, max, factor: 2.0, jitter: Jitter::Equal }
    }

    /// Always `delay`, without jitter.
    #[must_use]
    pub const fn constant(delay: Duration) -> Self {
        Self { first: delay, max: delay, factor: 1.0, jitter: Jitter::None }
    }

    /// Sets the kind of jitter.
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets the factor from each delay to the next; at least 1.
    #[must_use]
    pub const fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// Returns the delay before retry `n`, counted from 0. `previous` is the delay before the retry before it, or zero; only
    /// [`Jitter::Decorrelated`] uses it.
    #[must_use]
    pub fn delay(&self, n: u32, previous: Duration) -> Duration {
        self.delay_with(n, previous, fastrand::f64())
    }

    /// [`Backoff::delay`] with a given random number, `draw`, in 0..1.
    pub(crate) fn delay_with(&self, n: u32, previous: Duration, draw: f64) -> Duration {
        let first = self.first.as_secs_f64();
        let max = self.max.as_secs_f64();
        let grown = (first * self.factor.powi(i32::try_from(n).unwrap_or(i32::MAX))).min(max);
        let seconds = match self.jitter {
            Jitter::None => grown,
            Jitter::Full => grown * draw,
            Jitter::Equal => grown * (0.5 + 0.5 * draw),
            Jitter::Decorrelated => first + (3.0 * previous.as_secs_f64() - first).max(0.0) * draw,
        };
        Duration::try_from_secs_f64(seconds.min(max)).unwrap_or(self.max).min(self.max)
    }

    pub(crate) fn validate(&self, setting: &'static str) -> Result<(), ConfigError> {
        let check = || {
            ConfigError::check(!self.first.is_zero(), "first", self.first, "more than zero")?;
            ConfigError::check(self.max >= self.first, "max", self.max, "at least the first delay")?;
            ConfigError::check(
                self.factor.is_finite() && self.factor >= 1.0,
                "factor",
                self.factor,
                "a finite number, at least 1",
            )
        };
        check().map_err(|error: ConfigError| error.within(setting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_draws_between_its_bounds_and_never_beyond_the_cap() {
        let second = Duration::from_secs(1);
        let backoff = Backoff::exponential(second, 10 * second);
        let drawn = |jitter, n, previous| {
            [0.0, 0.5].map(|draw| backoff.jitter(jitter).delay_with(n, previous, draw).as_secs_f64())
        };
        assert_eq!(drawn(Jitter::None, 2, second), [4.0, 4.0]);
        assert_eq!(drawn(Jitter::Full, 2, second), [0.0, 2.0]);
        assert_eq!(drawn(Jitter::Equal, 2, second), [2.0, 3.0]);
        assert_eq!(drawn(Jitter::Decorrelated, 2, Duration::ZERO), [1.0, 1.0]);
        assert_eq!(drawn(Jitter::Decorrelated, 2, 3 * second), [1.0, 5.0]);
        assert_eq!(drawn(Jitter::Decorrelated, 2, 10 * second), [1.0, 10.0]);
        assert_eq!(drawn(Jitter::Equal, u32::MAX, second), [5.0, 7.5]);
        let widest = Backoff::exponential(second, Duration::MAX).jitter(Jitter::Decorrelated);
        assert_eq!(widest.delay_with(u32::MAX, Duration::MAX, 0.99), Duration::MAX);
    }
}

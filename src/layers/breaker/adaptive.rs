//! The settings of a learned slow-call limit.

use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::base::clock::nanos;
use crate::base::error::ConfigError;

/// How the slow-call limit is learned: the p95 of healthy traffic times a factor, between two bounds.
///
/// # Why
/// A fixed limit fits one hour of the day. With a limit for the night, much of the afternoon's traffic is slow; a limit for
/// the afternoon misses an outage at night. With a learned limit, less than 5 % of healthy traffic is slow at any hour. So
/// [`SlowCall::rate`](super::SlowCall::rate) may be lower, such as 0.3 instead of 0.5, and the circuit opens sooner.
/// `tests/breaker/simulation.rs` has figures.
///
/// # What is learned
/// - Until enough calls were seen, [`SlowCall::limit`](super::SlowCall::limit) holds.
/// - Only successes of a closed circuit count: no failures, no probes.
/// - A call that took more than twice the current limit is not normal traffic and is not counted. A call between the limit
///   and twice the limit is counted, so the limit follows a service that became permanently slower.
/// - Calls are collected for a period, and counted at its end. They are discarded if the circuit opened meanwhile, if the
///   share of failures reached a tenth of the rate that opens the circuit, or if more calls failed than usual. A
///   permanently higher share of failures, below that tenth, becomes usual after an hour.
/// - In one period the limit falls by at most 1/32 of itself and rises by at most 1/128: halving takes 22 minutes,
///   doubling 90. Only the first learned limit, if lower than the configured one, is reached at once. The limit follows a
///   service that becomes slower more gradually, up to the ceiling: **set the ceiling to a duration that is unacceptable at
///   any hour**.
/// - The learned data loses a quarter of its weight in each period with traffic; without traffic nothing changes.
/// - While slow successes keep the circuit open, the limit rises at its usual pace, up to
///   [`SlowCall::limit`](super::SlowCall::limit). A service that is permanently five times slower is admitted again
///   after one to three hours. A service slower than the configured limit stays shut out.
///
/// # What it sees
/// The limit is at least twice the p95, so slowness opens the circuit when the share
/// [`SlowCall::rate`](super::SlowCall::rate) of the calls takes longer than that. A service whose p95 is twice its
/// median, as is common, must become four times slower for a rate of 0.5, and three times for 0.3. A service that
/// becomes twice as slow does not open the circuit: the limit follows it.
///
/// # Example
/// ```
/// use campanile::CircuitBreaker;
/// use campanile::breaker::{Adaptive, BreakerSettings};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let breaker = CircuitBreaker::builder("payments")
///     .slow_call(Duration::from_millis(500), 0.5)
///     .adaptive_limits(Adaptive { ceiling: Some(Duration::from_secs(3)), ..Adaptive::default() })
///     .build()?;
/// assert_eq!(breaker.snapshot().slow_call_limit, Some(Duration::from_millis(500)));
///
/// // The same from text; `true` instead of the table takes all defaults.
/// let settings: BreakerSettings = serde_json::from_str(
///     r#"{ "slow_call": { "limit": "500ms", "rate": 0.5 }, "adaptive": { "ceiling": "3s" } }"#,
/// )?;
/// assert_eq!(settings.adaptive.and_then(|adaptive| adaptive.ceiling), Some(Duration::from_secs(3)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Adaptive {
    /// Lowest limit: more than zero, at most [`SlowCall::limit`](super::SlowCall::limit). Default: 10 ms, or
    /// [`SlowCall::limit`](super::SlowCall::limit) if that is less. Set it to a duration below which slowness does not
    /// matter.
    #[serde(with = "crate::base::duration::option")]
    pub floor: Option<Duration>,
    /// Highest limit: at least [`SlowCall::limit`](super::SlowCall::limit). Default: four times
    /// [`SlowCall::limit`](super::SlowCall::limit).
    #[serde(with = "crate::base::duration::option")]
    pub ceiling: Option<Duration>,
    /// The limit is the p95 times this: from 1 to 100. Default 2.
    pub factor: f64,
    /// Number of calls before the first limit is learned, besides one period: at least 20, since the p95 of fewer is the
    /// slowest of them. Default 500.
    pub warm_up_calls: u32,
    /// The period after which the limit moves, if it has at least 128 calls: from 1 s to 1 h. Default one minute.
    #[serde(with = "crate::base::duration")]
    pub period: Duration,
}

/// The default floor. Scheduling alone can make shorter calls take as long.
const FLOOR: Duration = Duration::from_millis(10);

impl Default for Adaptive {
    fn default() -> Self {
        Self { floor: None, ceiling: None, factor: 2.0, warm_up_calls: 500, period: Duration::from_secs(60) }
    }
}

impl Adaptive {
    /// The bounds in nanoseconds, where `limit` is the configured one.
    pub(super) fn bounds(&self, limit: Duration) -> (u64, u64) {
        let floor = self.floor.unwrap_or(limit.min(FLOOR));
        let ceiling = self.ceiling.unwrap_or(limit.saturating_mul(4));
        (nanos(floor).max(1), nanos(ceiling).max(1))
    }

    /// `limit` is the configured slow-call limit.
    pub(super) fn validate(&self, limit: Option<Duration>) -> Result<(), ConfigError> {
        let Some(limit) = limit else {
            return Err(ConfigError::because(
                "adaptive",
                "on",
                "`slow_call` is not set, and its limit applies until another is learned; set `slow_call` too",
            ));
        };
        if let Some(floor) = self.floor {
            ConfigError::check(
                !floor.is_zero() && floor <= limit,
                "adaptive.floor",
                floor,
                "more than zero and at most `slow_call.limit`",
            )?;
        }
        if let Some(ceiling) = self.ceiling {
            ConfigError::check(ceiling >= limit, "adaptive.ceiling", ceiling, "at least `slow_call.limit`")?;
        }
        ConfigError::check(
            (1.0..=100.0).contains(&self.factor),
            "adaptive.factor",
            self.factor,
            "from 1 to 100",
        )?;
        ConfigError::check(
            self.warm_up_calls >= 20,
            "adaptive.warm_up_calls",
            self.warm_up_calls,
            "at least 20",
        )?;
        ConfigError::check(
            self.period >= Duration::from_secs(1) && self.period <= Duration::from_secs(3_600),
            "adaptive.period",
            self.period,
            "from 1 s to 1 h",
        )
    }
}

/// Reads `true`, `false`, nothing, or a table of [`Adaptive`].
pub(super) fn bool_or_table<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Adaptive>, D::Error> {
    deserializer.deserialize_any(SwitchVisitor)
}

struct SwitchVisitor;

impl<'de> Visitor<'de> for SwitchVisitor {
    type Value = Option<Adaptive>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "`true`, `false` or a table with some of floor, ceiling, factor, warm_up_calls and period",
        )
    }

    fn visit_bool<E>(self, on: bool) -> Result<Self::Value, E> {
        Ok(on.then(Adaptive::default))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        bool_or_table(deserializer)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Adaptive::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}

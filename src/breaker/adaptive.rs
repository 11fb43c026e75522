//! The settings of a slow-call limit that is learned.

use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::settings::SlowCall;
use crate::clock::nanos;
use crate::error::ConfigError;

/// How the slow-call limit is learned: it is the p95 of healthy traffic times a factor, kept between two bounds.
///
/// # Why
/// A fixed limit is right for one hour of the day. Set for the calm of the night, it calls a good part of the
/// afternoon's traffic slow, and opens at the next hiccup; set for the afternoon, it does not notice an outage at
/// night. By a learned limit less than 5 % of healthy traffic is slow at any hour, so that [`SlowCall::rate`] may be
/// lower too, such as 0.3 in place of 0.5: then the circuit opens sooner. `tests/breaker/simulation.rs` has numbers.
///
/// # What is learned
/// - Until enough calls were seen, [`SlowCall::limit`] holds.
/// - Calls that ended well while the circuit was closed count, nothing else: no failure, no probe.
/// - A call that took more than twice the limit in force is no normal traffic of any kind and is not counted. One
///   between the limit and its double is: so a service that became somewhat slower for good is learned.
/// - Calls are collected for a period, and counted when it is over. They are thrown away if the circuit opened meanwhile,
///   if a tenth as many calls failed as it takes to open it, or if more failed than usual: a bad time teaches nothing. A
///   share of failures that is higher for good, but below that tenth, is usual after an hour.
/// - In one period the limit falls by at most 1/32 of itself and rises by at most 1/128: to halve takes it 22 minutes,
///   to double 90. Only the first learned limit may be reached at once, when it is lower than the configured one. A
///   decline that is slower than this is followed up to the ceiling, and no further: **set that to what you would not
///   accept from the service at any hour**.
/// - What was learned loses a quarter of its weight in each period with traffic; without traffic nothing changes.
/// - While slow calls that end well keep the circuit open, the limit gives way at the pace at which it rises, up to
///   [`SlowCall::limit`]. A service that is five times as slow for good is let through again after one to three hours. What
///   is slower than the configured limit is an outage for as long as it lasts.
///
/// # What it sees
/// The limit is at least twice the p95, so slowness opens the circuit when the share [`SlowCall::rate`] of the calls
/// takes longer than that. A service whose p95 is twice its median, as is common, has to become four times as slow for
/// a rate of 0.5, and three times for 0.3. One that becomes twice as slow opens nothing: the limit follows it.
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
/// // The same from text; `true` in place of the table takes all defaults.
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
    /// The limit is never less: more than zero, at most [`SlowCall::limit`]. Default: 10 ms, or [`SlowCall::limit`] where
    /// that is less. The p95 of the service times the factor is a floor that goes with the service; one of its own is
    /// for those who do not mind how slow a call is below it.
    #[serde(with = "crate::duration::option")]
    pub floor: Option<Duration>,
    /// The limit is never more: at least [`SlowCall::limit`]. Default: four times [`SlowCall::limit`].
    #[serde(with = "crate::duration::option")]
    pub ceiling: Option<Duration>,
    /// The limit is the p95 times this: from 1 to 100. Default 2.
    pub factor: f64,
    /// [`SlowCall::limit`] holds until so many calls have been counted, and one period is over: at least 20, as
    /// the p95 of fewer is the slowest of them. Default 500.
    pub warm_up_calls: u32,
    /// How long calls are collected before the limit moves, and no less than 128 calls long: from 1 s to 1 h.
    /// Default one minute.
    #[serde(with = "crate::duration")]
    pub period: Duration,
}

/// A scheduler alone makes calls of less take as long.
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

    pub(super) fn validate(&self, slow: Option<SlowCall>) -> Result<(), ConfigError> {
        let Some(slow) = slow else {
            return Err(ConfigError::new(
                "adaptive",
                "on",
                "set `slow_call` too: its limit holds until another is learned",
            ));
        };
        if let Some(floor) = self.floor {
            ConfigError::check(
                !floor.is_zero() && floor <= slow.limit,
                "adaptive.floor",
                floor,
                "more than zero and at most `slow_call.limit`",
            )?;
        }
        if let Some(ceiling) = self.ceiling {
            ConfigError::check(
                ceiling >= slow.limit,
                "adaptive.ceiling",
                ceiling,
                "at least `slow_call.limit`",
            )?;
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
pub(super) fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Adaptive>, D::Error> {
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
        switch(deserializer)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Adaptive::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}

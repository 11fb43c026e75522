//! The settings of a keyed breaker.

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;
use crate::layers::breaker::settings::BreakerSettings;

/// The settings of a keyed breaker. They can be read from a file; unknown keys are refused.
///
/// # Example
/// ```
/// use campanile::breaker::{KeyedBreaker, KeyedSettings};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings: KeyedSettings =
///     serde_json::from_str(r#"{ "circuit": { "failure_rate": 0.4 }, "max_keys": 1000 }"#)?;
/// let breaker = KeyedBreaker::from_settings("tenants", |tenant: &u64| *tenant, &settings)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyedSettings {
    /// The settings of each circuit.
    pub circuit: BreakerSettings,
    /// Maximum number of keys with circuits. Beyond it, the least recently used is evicted. From 1 to 1,000,000, default
    /// 10,000.
    pub max_keys: u32,
    /// Maximum share of circuits that are open or half-open at once, rounded down, but at least one circuit: more than 0,
    /// at most 1. Circuits that were forced open do not count. Default 0.5.
    ///
    /// When most keys fail at once, the cause is rarely each of them: it is the network or this process, and refusing all
    /// calls would make the outage worse. Envoy's `max_ejection_percent` is 10 % by default, because other hosts take over
    /// the load of an ejected one. Here no other key takes over, so the default is higher.
    pub max_ejected: f64,
}

impl Default for KeyedSettings {
    fn default() -> Self {
        Self { circuit: BreakerSettings::default(), max_keys: 10_000, max_ejected: 0.5 }
    }
}

impl KeyedSettings {
    /// All settings except those of the circuits.
    /// Validates the settings of the breaker called `name`, which the error names.
    pub(super) fn validate(&self, name: &str) -> Result<(), ConfigError> {
        self.check().map_err(|error| error.of("circuit breaker", name))
    }

    fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check(
            (1..=1_000_000).contains(&self.max_keys),
            "max_keys",
            self.max_keys,
            "from 1 to 1,000,000",
        )?;
        ConfigError::check(
            self.max_ejected > 0.0 && self.max_ejected <= 1.0,
            "max_ejected",
            self.max_ejected,
            "more than 0 and at most 1",
        )
    }
}

//! What can be set for all circuits together.

use serde::{Deserialize, Serialize};

use crate::breaker::settings::BreakerSettings;
use crate::error::ConfigError;

/// The settings of a keyed breaker, as a file can hold them. Unknown keys are refused.
///
/// # Example
/// ```
/// use campanile::breaker::{KeyedBreaker, KeyedSettings};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let settings: KeyedSettings =
///     serde_json::from_str(r#"{ "circuit": { "failure_rate": 0.4 }, "max_keys": 1000 }"#)?;
/// let breaker = KeyedBreaker::from_settings("tenants", |tenant: &u64| *tenant, settings)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyedSettings {
    /// The settings of each circuit.
    pub circuit: BreakerSettings,
    /// So many keys have circuits; for one more, one that was not used for long is evicted. From 1 to 1,000,000,
    /// default 10,000.
    pub max_keys: u32,
    /// At most this share of the circuits is open or half-open at once, rounded down, but always one: more than 0, at
    /// most 1. Circuits that somebody forced open do not count. Default 0.5.
    ///
    /// When most keys fail at once, the fault is seldom theirs: it lies with the network, or with this process, and
    /// refusing everybody would make it worse. Envoy's rule, `max_ejection_percent`, has 10 % as its default because
    /// what it ejects is then borne by other hosts. Here nobody else answers for a key, so only the doubt about whose
    /// fault it is remains, and that begins with a majority.
    pub max_ejected: f64,
}

impl Default for KeyedSettings {
    fn default() -> Self {
        Self { circuit: BreakerSettings::default(), max_keys: 10_000, max_ejected: 0.5 }
    }
}

impl KeyedSettings {
    /// All but the settings of the circuits.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
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

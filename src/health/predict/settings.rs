use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// Settings of prediction.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use campanile::health::{Health, HealthSettings, PredictSettings};
///
/// # fn main() -> Result<(), campanile::ConfigError> {
/// let health = Health::standalone();
/// let predict = PredictSettings { horizon: Duration::from_secs(6 * 3_600), ..PredictSettings::default() };
/// health.configure(HealthSettings { predict, ..HealthSettings::default() })?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PredictSettings {
    /// Whether vital signs are followed. Default true.
    pub enabled: bool,
    /// How long a vital sign is followed before anomalies and forecasts are reported: from one minute to one day. Default
    /// 10 min.
    #[serde(with = "crate::base::duration")]
    pub warm_up: Duration,
    /// The number of robust standard deviations from the usual value that make an anomaly: from 3 to 100. Default 4.75.
    pub deviations: f64,
    /// How long an unusual value must last until it counts as usual: from ten minutes to one week. Default 1 h.
    #[serde(with = "crate::base::duration")]
    pub settled_after: Duration,
    /// How far ahead a limit is forecast: from one minute to 30 days. Default 24 h.
    #[serde(with = "crate::base::duration")]
    pub horizon: Duration,
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

impl Default for PredictSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            warm_up: 10 * MINUTE,
            deviations: 4.75,
            settled_after: 60 * MINUTE,
            horizon: DAY,
        }
    }
}

impl PredictSettings {
    pub(in crate::health) fn validate(&self) -> Result<(), ConfigError> {
        let (warm_up, settled, horizon) = (self.warm_up, self.settled_after, self.horizon);
        ConfigError::check(
            (MINUTE..=DAY).contains(&warm_up),
            "health.predict.warm_up",
            warm_up,
            "from 1 min to 1 day",
        )?;
        ConfigError::check(
            (3.0..=100.0).contains(&self.deviations),
            "health.predict.deviations",
            self.deviations,
            "from 3 to 100",
        )?;
        ConfigError::check(
            (10 * MINUTE..=7 * DAY).contains(&settled),
            "health.predict.settled_after",
            settled,
            "from 10 min to 1 week",
        )?;
        ConfigError::check(
            (MINUTE..=30 * DAY).contains(&horizon),
            "health.predict.horizon",
            horizon,
            "from 1 min to 30 days",
        )
    }
}

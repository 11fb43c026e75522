//! Settings of log records.

use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;

use crate::base::error::ConfigError;
use crate::telemetry::batch::BatchSettings;
use crate::telemetry::variables::Variables;

/// Settings of log records: which events become records, limits of a record, and the queue.
///
/// `OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT`, `OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT`, their general forms
/// `OTEL_ATTRIBUTE_COUNT_LIMIT` and `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT`, and `OTEL_BLRP_…` win over these settings.
///
/// # Example
/// ```
/// use campanile::Telemetry;
/// use campanile::telemetry::LogSettings;
/// use tracing::level_filters::LevelFilter;
///
/// let mut logs = LogSettings::default();
/// logs.level = LevelFilter::WARN;
/// let telemetry = Telemetry::builder("checkout").configure(|settings| settings.logs = logs).build()?;
/// # Ok::<(), campanile::telemetry::TelemetryError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LogSettings {
    /// The least severe level that is exported: `off`, `error`, `warn`, `info`, `debug` or `trace`. Default: `info`.
    ///
    /// Events that the subscriber's filter disables are never exported.
    #[serde(with = "level")]
    pub level: LevelFilter,
    /// Maximum number of attributes of a record. Further ones are dropped and counted in
    /// `otel.dropped_attributes_count`. Default: 128.
    pub attributes: usize,
    /// Maximum length of a text, which is an attribute's value or the body, in bytes. Default: 4,096.
    pub value_length: usize,
    /// Queue and batches of records.
    pub batch: BatchSettings,
}

impl Default for LogSettings {
    fn default() -> Self {
        let batch = BatchSettings { delay: std::time::Duration::from_secs(1), ..BatchSettings::default() };
        Self { level: LevelFilter::INFO, attributes: 128, value_length: 4_096, batch }
    }
}

impl LogSettings {
    pub(in crate::telemetry) fn with_variables(mut self, variables: &Variables) -> Result<Self, ConfigError> {
        for (setting, own, general) in [
            (&mut self.attributes, "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
            (
                &mut self.value_length,
                "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
                "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            ),
        ] {
            if let Some(value) = variables.number(own)?.or(variables.number(general)?) {
                *setting = value;
            }
        }
        self.batch = self.batch.with_variables("BLRP", variables)?;
        self.batch.check().map_err(|error| error.within("logs"))?;
        Ok(self)
    }
}

mod level {
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};
    use tracing::level_filters::LevelFilter;

    #[allow(clippy::trivially_copy_pass_by_ref)] // As serde calls it.
    pub(super) fn serialize<S: Serializer>(level: &LevelFilter, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(level)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LevelFilter, D::Error> {
        let text = String::deserialize(deserializer)?;
        LevelFilter::from_str(&text).map_err(|_| {
            serde::de::Error::custom(format!(
                "level cannot be {text}; allowed: off, error, warn, info, debug or trace"
            ))
        })
    }
}

//! The settings of a queue of spans or log records.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;
use crate::telemetry::variables::Variables;

/// The queue of spans or log records to export.
///
/// To set it in code, use [`TelemetryBuilder::configure`](crate::telemetry::TelemetryBuilder::configure):
/// `.configure(|settings| settings.batch.queue = 8_192)`, or `settings.logs.batch` for log records.
///
/// `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, `OTEL_BSP_SCHEDULE_DELAY` and
/// `OTEL_BSP_EXPORT_TIMEOUT` win over these settings for spans, `OTEL_BLRP_…` for log records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BatchSettings {
    /// Maximum number of items in the queue. Further ones are dropped and counted. Default: 2,048.
    pub queue: usize,
    /// Maximum bytes of the items in the queue, estimated by their texts. Further ones are dropped and counted. At least
    /// 65,536. Default: 32 MiB.
    pub queue_bytes: usize,
    /// Maximum number of items in one export. Default: 512.
    pub batch: usize,
    /// Maximum time in the queue before an export, if no batch is full. Default: 5 s for spans, 1 s for log records.
    #[serde(with = "crate::base::duration")]
    pub delay: Duration,
    /// Timeout of an export. Zero disables it. Default: 30 s.
    #[serde(with = "crate::base::duration")]
    pub export_timeout: Duration,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            queue: 2_048,
            queue_bytes: 32 * 1024 * 1024,
            batch: 512,
            delay: Duration::from_secs(5),
            export_timeout: Duration::from_secs(30),
        }
    }
}

impl BatchSettings {
    /// `kind` is the part of the variables' names: `BSP` for spans, `BLRP` for log records.
    pub(in crate::telemetry) fn with_variables(
        mut self,
        kind: &str,
        variables: &Variables,
    ) -> Result<Self, ConfigError> {
        let name = |what| format!("OTEL_{kind}_{what}");
        let count = |what| match variables.number(&name(what))? {
            Some(0) => Err(ConfigError::new(name(what), 0, "at least 1")),
            count => Ok(count),
        };
        self.queue = count("MAX_QUEUE_SIZE")?.unwrap_or(self.queue);
        self.batch = count("MAX_EXPORT_BATCH_SIZE")?.unwrap_or(self.batch);
        self.delay = match variables.milliseconds(&name("SCHEDULE_DELAY"))? {
            Some(Duration::ZERO) => {
                return Err(ConfigError::new(name("SCHEDULE_DELAY"), 0, "milliseconds, more than zero"));
            }
            delay => delay.unwrap_or(self.delay),
        };
        let timeout = variables.milliseconds(&name("EXPORT_TIMEOUT"))?;
        self.export_timeout = timeout.unwrap_or(self.export_timeout);
        Ok(self)
    }

    pub(in crate::telemetry) fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check(self.queue > 0, "batch.queue", self.queue, "at least 1")?;
        let bytes = self.queue_bytes;
        ConfigError::check(bytes >= 64 * 1024, "batch.queue_bytes", bytes, "at least 65536")?;
        ConfigError::check(self.batch > 0, "batch.batch", self.batch, "at least 1")?;
        ConfigError::check(!self.delay.is_zero(), "batch.delay", self.delay, "more than zero")
    }

    /// The number of items that makes a full batch.
    pub(super) fn full(&self) -> usize {
        self.batch.min(self.queue)
    }
}

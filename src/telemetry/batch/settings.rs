//! How spans and log records wait.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;
use crate::telemetry::variables::Variables;

/// How spans, or log records, wait for their export.
///
/// `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, `OTEL_BSP_SCHEDULE_DELAY` and
/// `OTEL_BSP_EXPORT_TIMEOUT` win over it for spans, `OTEL_BLRP_…` for log records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BatchSettings {
    /// How many may wait; more are dropped and counted. 2,048.
    pub queue: usize,
    /// How many bytes those that wait may take, as estimated by their texts; more are dropped and counted. 32 MiB.
    pub queue_bytes: usize,
    /// How many are in one export. 512.
    pub batch: usize,
    /// The longest that one waits while the queue is short. 5 s for spans, 1 s for log records.
    #[serde(with = "crate::base::duration")]
    pub delay: Duration,
    /// The longest that an export takes; then it has failed. 30 s; zero is no limit.
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
    /// `kind` is what the variables call it: `BSP` for spans, `BLRP` for log records.
    pub(in crate::telemetry) fn with_variables(
        mut self,
        kind: &str,
        variables: &Variables,
    ) -> Result<Self, ConfigError> {
        let name = |what| format!("OTEL_{kind}_{what}");
        self.queue = variables.number(&name("MAX_QUEUE_SIZE"))?.unwrap_or(self.queue);
        self.batch = variables.number(&name("MAX_EXPORT_BATCH_SIZE"))?.unwrap_or(self.batch);
        self.delay = variables.milliseconds(&name("SCHEDULE_DELAY"))?.unwrap_or(self.delay);
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

    /// How many wait when it is time to export them.
    pub(super) fn full(&self) -> usize {
        self.batch.min(self.queue)
    }
}

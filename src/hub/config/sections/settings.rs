//! The whole tree.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    DatabaseSection, DependencySection, EndpointSection, LettersSection, LoggingSection, MetricsSection,
    ServerSection, WorkerSection,
};
use crate::edge::serve::ShutdownSettings;
use crate::health::{HealingLimits, HealthSettings};
use crate::sampler::SamplerSettings;
use crate::telemetry::TelemetrySettings;

/// All settings of a program, one field for each section of the file.
///
/// # Example
/// ```
/// use campanile::hub::config::Config;
///
/// let config = Config::loader("checkout")
///     .environment([]) // none, for a test
///     .arguments(["dependency.payments.breaker.failure_rate=0.2"])
///     .load()?;
/// let settings = config.settings();
/// assert_eq!(settings.telemetry.service_name, "checkout");
/// assert_eq!(settings.dependency["payments"].breaker.as_ref().unwrap().failure_rate, 0.2);
/// # Ok::<_, campanile::hub::config::ConfigErrors>(())
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// Spans, metrics and log records, and where they are exported to.
    pub telemetry: TelemetrySettings,
    /// Logs on the console.
    pub logging: LoggingSection,
    /// `/metrics` and probes on a port of their own.
    pub metrics: MetricsSection,
    /// What is read of the machine, this process and its GPUs; `false` reads nothing.
    #[serde(with = "super::switch")]
    pub sampler: Option<SamplerSettings>,
    /// The limits by which health is judged.
    pub health: HealthSettings,
    /// The limits that all healings share.
    pub healing: HealingLimits,
    /// What all queues of dead letters have in common.
    pub letters: LettersSection,
    /// The limits of the steps of a shutdown.
    pub shutdown: ShutdownSettings,
    /// The servers of this program: what it offers.
    pub server: BTreeMap<String, ServerSection>,
    /// The dependencies of this program: what it calls.
    pub dependency: BTreeMap<String, DependencySection>,
    /// The workers of this program: work that is no request.
    pub worker: BTreeMap<String, WorkerSection>,
    /// Databases that health checks.
    pub database: BTreeMap<String, DatabaseSection>,
    /// Endpoints that health checks.
    pub endpoint: BTreeMap<String, EndpointSection>,
}

/// The name of a service that has none, by the conventions of OpenTelemetry.
pub(in crate::hub::config) const UNKNOWN_SERVICE: &str = "unknown_service";

impl Default for Settings {
    fn default() -> Self {
        Self {
            telemetry: TelemetrySettings::new(UNKNOWN_SERVICE),
            logging: LoggingSection::default(),
            metrics: MetricsSection::default(),
            sampler: Some(SamplerSettings::default()),
            health: HealthSettings::default(),
            healing: HealingLimits::default(),
            letters: LettersSection::default(),
            shutdown: ShutdownSettings::default(),
            server: BTreeMap::new(),
            dependency: BTreeMap::new(),
            worker: BTreeMap::new(),
            database: BTreeMap::new(),
            endpoint: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Returns the settings of the pipeline: those of `[telemetry]`, with those of `[logging]` and `[sampler]` in their
    /// places, and with Prometheus if `[metrics]` has a listener.
    #[must_use]
    pub fn pipeline(&self) -> TelemetrySettings {
        let mut pipeline = self.telemetry.clone();
        pipeline.console = self.logging.console;
        pipeline.env_filter.clone_from(&self.logging.filter);
        pipeline.logs = self.logging.records;
        pipeline.sampler.clone_from(&self.sampler);
        pipeline.prometheus |= self.metrics.listen.is_some();
        pipeline
    }
}

impl fmt::Debug for Settings {
    /// Names the things that have sections. Values are omitted, because any of them may be a secret. `Config::show` knows
    /// which are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("server", &self.server.keys())
            .field("dependency", &self.dependency.keys())
            .field("worker", &self.worker.keys())
            .field("database", &self.database.keys())
            .field("endpoint", &self.endpoint.keys())
            .finish_non_exhaustive()
    }
}

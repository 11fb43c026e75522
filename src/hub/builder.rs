//! The builder of a [`Campanile`](super::Campanile).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::campanile::Campanile;
use super::config::{Config, ConfigLoader};
use super::fault::StartError;
use super::start::{self, SetUp};
use crate::telemetry::TelemetryBuilder;

/// Starts a [`Campanile`].
#[must_use = "nothing starts before `start`"]
pub struct CampanileBuilder {
    loader: ConfigLoader,
    set_ups: Vec<SetUp>,
    strict: bool,
}

impl Campanile {
    /// Returns a builder for the service of this name, its `service.name`. Without more, the configuration is that of the
    /// environment: `CAMPANILE_CONFIG` names a file.
    pub fn builder(service_name: impl Into<String>) -> CampanileBuilder {
        CampanileBuilder { loader: Config::loader(service_name), set_ups: Vec::new(), strict: false }
    }
}

impl CampanileBuilder {
    /// Reads this file. `CAMPANILE_CONFIG` wins over it.
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.loader = self.loader.file(path);
        self
    }

    /// Sets single settings, each as `section.key=value`. They win over the file and the environment.
    pub fn arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.loader = self.loader.arguments(arguments);
        self
    }

    /// Takes these variables instead of those of the process; for tests.
    pub fn environment<'a>(mut self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.loader = self.loader.environment(variables);
        self
    }

    /// Changes the builder of the pipeline, for what settings cannot hold, such as exporters. It is called again if the
    /// pipeline does not start.
    pub fn telemetry(
        mut self,
        set_up: impl Fn(TelemetryBuilder) -> TelemetryBuilder + Send + Sync + 'static,
    ) -> Self {
        self.set_ups.push(Arc::new(set_up));
        self
    }

    /// Sets whether the start fails if a part does not start. Default `false`: it is left out, and the rest runs.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Starts everything that the settings say. It is [`Campanile::global`] from then on.
    ///
    /// Without a Tokio runtime, what needs one is left out and listed in [`faults`](Campanile::faults): SIGHUP, the summary,
    /// checks. Telemetry and the port for metrics have threads of their own.
    ///
    /// The second start of a process finds the global subscriber of the first. Its pipeline is then its own, which is a
    /// fault too.
    ///
    /// # Errors
    /// - [`StartError::Config`] if a setting is not valid; it lists all that are not.
    /// - [`StartError::Telemetry`] if there is no pipeline, not even one without exporters.
    /// - [`StartError::Part`] if a part did not start and [`strict`](Self::strict) is set.
    pub async fn start(self) -> Result<Campanile, StartError> {
        let config = self.loader.load()?;
        start::start(config, &self.set_ups, self.strict)
    }
}

impl fmt::Debug for CampanileBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CampanileBuilder").field("strict", &self.strict).finish_non_exhaustive()
    }
}

//! [`ConfigLoader`].

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use super::fault::ConfigErrors;
use super::handle::Config;
use super::layers::Layers;
use super::sources::{Preset, Variables};

/// Says where settings are from; see [the layers](super).
#[derive(Clone)]
#[must_use]
pub struct ConfigLoader {
    layers: Layers,
}

impl Config {
    /// Loads the settings of the service with this name. `telemetry.service_name` wins over it.
    pub fn loader(service: impl Into<String>) -> ConfigLoader {
        let layers = Layers {
            service: service.into(),
            preset: None,
            file: None,
            variables: None,
            arguments: Vec::new(),
        };
        ConfigLoader { layers }
    }
}

impl ConfigLoader {
    /// Sets the preset. The variable `CAMPANILE_PRESET` wins over it.
    pub fn preset(mut self, preset: Preset) -> Self {
        self.layers.preset = Some(preset);
        self
    }

    /// Sets the file, which must exist and end in `.toml` or `.json`. The variable `CAMPANILE_CONFIG` wins over it.
    /// Default: no file.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.layers.file = Some(path.into());
        self
    }

    /// Replaces the variables of the process, for a test.
    pub fn environment<'a>(mut self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.layers.variables = Some(Variables::new(variables));
        self
    }

    /// The same for variables that need not be UTF-8.
    pub fn environment_os(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.layers.variables = Some(Variables::new(variables));
        self
    }

    /// Adds arguments such as `dependency.payments.retry.max_attempts=2`; a later one wins. A list, a table or a quoted
    /// text is written as in TOML.
    pub fn arguments<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.layers.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Loads the configuration. It reads files, and does not wait for anything else.
    ///
    /// # Errors
    /// When anything is wrong with it. The error has all faults, not only the first.
    pub fn load(self) -> Result<Config, ConfigErrors> {
        let state = self.layers.load()?;
        Ok(Config::new(self.layers, state))
    }
}

impl fmt::Debug for ConfigLoader {
    /// Omits variables and arguments, whose values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigLoader")
            .field("service", &self.layers.service)
            .field("preset", &self.layers.preset)
            .field("file", &self.layers.file)
            .finish_non_exhaustive()
    }
}

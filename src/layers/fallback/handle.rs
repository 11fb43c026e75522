//! The handle: cheap to clone, shared by all layers made from it.

use std::sync::Arc;

use super::policy::Policy;
use super::settings::FallbackSettings;
use super::snapshot::FallbackSnapshot;
use crate::base::error::ConfigError;
use crate::signal;

/// A fallback; see the [module](crate::layers::fallback). Clones share their counts.
#[derive(Clone, Debug)]
pub struct Fallback {
    pub(super) policy: Arc<Policy>,
}

impl Fallback {
    /// Makes a fallback with the default settings. `name` appears in metrics and events.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self::registered(name.into(), FallbackSettings::default())
    }

    /// Makes a fallback from settings, such as those of a file.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range, its value and what is allowed.
    pub fn from_settings(
        name: impl Into<Arc<str>>,
        settings: &FallbackSettings,
    ) -> Result<Self, ConfigError> {
        Self::checked(name.into(), settings.clone())
    }

    pub(super) fn checked(name: Arc<str>, settings: FallbackSettings) -> Result<Self, ConfigError> {
        settings.validate(&name)?;
        Ok(Self::registered(name, settings))
    }

    fn registered(name: Arc<str>, settings: FallbackSettings) -> Self {
        let policy = Arc::new(Policy::new(name, settings));
        signal::register(&policy);
        Self { policy }
    }

    /// The fallback's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.policy.name
    }

    /// Returns the current counts.
    #[must_use]
    pub fn snapshot(&self) -> FallbackSnapshot {
        self.policy.counters.snapshot()
    }
}

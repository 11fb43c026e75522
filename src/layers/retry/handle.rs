//! The handle: cheap to clone, shared by all layers made from it.

use std::sync::Arc;

use super::policy::Policy;
use super::settings::RetrySettings;
use super::snapshot::RetrySnapshot;
use crate::base::error::ConfigError;
use crate::signal;

/// A retry; see the [module](crate::layers::retry). Clones share the budget and the counts.
#[derive(Clone, Debug)]
pub struct Retry {
    pub(super) policy: Arc<Policy>,
}

impl Retry {
    /// Makes a retry from settings, such as those of a file. `name` appears in metrics and events.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range, its value and what is allowed.
    pub fn from_settings(name: impl Into<Arc<str>>, settings: &RetrySettings) -> Result<Self, ConfigError> {
        Self::new(name.into(), settings.clone())
    }

    pub(super) fn new(name: Arc<str>, settings: RetrySettings) -> Result<Self, ConfigError> {
        settings.validate(&name)?;
        let policy = Arc::new(Policy::new(name, settings));
        signal::register(&policy);
        Ok(Self { policy })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> RetrySettings {
        RetrySettings::clone(&self.policy.settings.load())
    }

    /// Replaces the settings of all layers that share this retry. What the budget has counted stays. Calls in progress keep
    /// their number of attempts, and layers for gRPC their codes.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range. Then nothing changes.
    ///
    /// # Example
    /// ```
    /// use campanile::Retry;
    /// use campanile::retry::RetrySettings;
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let retry = Retry::builder().build()?;
    /// retry.reconfigure(RetrySettings { max_attempts: 2, ..retry.settings() })?;
    /// assert_eq!(retry.settings().max_attempts, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reconfigure(&self, settings: RetrySettings) -> Result<(), ConfigError> {
        settings.validate(&self.policy.name)?;
        self.policy.replace(settings);
        Ok(())
    }

    /// The retry's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.policy.name
    }

    /// Returns the current counts, and the rest of the budget.
    #[must_use]
    pub fn snapshot(&self) -> RetrySnapshot {
        self.policy.snapshot()
    }
}

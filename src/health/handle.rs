use std::fmt;
use std::sync::Arc;

use super::component::Component;
use super::inner::Inner;
use super::metrics;
use super::settings::HealthSettings;
use super::snapshot::HealthSnapshot;
use super::texts::Texts;
use crate::base::clock;
use crate::base::error::ConfigError;
use crate::signal::Vitals;

/// The health of this process; see the [module](crate::health). Cheap to clone.
#[derive(Clone)]
pub struct Health {
    pub(super) inner: Arc<Inner>,
}

impl Health {
    /// Health without telemetry: it sees the circuit breakers, the dead letters and the samplers of this process, but no
    /// spans. The texts of checks and healings are redacted by the default
    /// [`RedactionSettings`](crate::base::redact::RedactionSettings).
    ///
    /// With telemetry, use [`Telemetry::health`](crate::Telemetry::health) instead, which also exports metrics.
    #[must_use]
    pub fn standalone() -> Self {
        Self::new(None, Texts::default(), HealthSettings::default())
    }

    /// As [`standalone`](Self::standalone), with these settings from the start.
    ///
    /// # Errors
    /// When a setting is out of its range. The error names it.
    ///
    /// # Example
    /// ```
    /// use campanile::health::{Health, HealthSettings};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let settings: HealthSettings = serde_json::from_str(r#"{ "error_share": 0.02 }"#)?;
    /// let health = Health::from_settings(&settings)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_settings(settings: &HealthSettings) -> Result<Self, ConfigError> {
        settings.validate()?;
        Ok(Self::new(None, Texts::default(), settings.clone()))
    }

    /// Health that reads the vital signs of a pipeline and exports metrics.
    pub(super) fn of_pipeline(vitals: Arc<Vitals>, texts: Texts) -> Self {
        let health = Self::new(Some(vitals), texts, HealthSettings::default());
        metrics::export(&health.inner);
        health
    }

    fn new(vitals: Option<Arc<Vitals>>, texts: Texts, settings: HealthSettings) -> Self {
        let inner = Arc::new(Inner::new(vitals, texts, settings));
        inner.ensure_rounds();
        Self { inner }
    }

    /// Replaces the settings.
    ///
    /// # Errors
    /// When a setting is out of its range. The error names it, and nothing changes.
    pub fn configure(&self, settings: HealthSettings) -> Result<(), ConfigError> {
        settings.validate()?;
        self.inner.config.lock().settings = Arc::new(settings);
        self.inner.refresh();
        Ok(())
    }

    /// Registers a component, or replaces what was registered under its name.
    ///
    /// A component that is seen in spans, breakers or queues needs no registration, unless it is critical, optional,
    /// weighted or depends on another one.
    ///
    /// # Errors
    /// When the component would depend on itself, with the path; when its name is empty, its weight is not more than
    /// 0, or it is both critical and optional. Then nothing changes.
    pub fn register(&self, component: Component) -> Result<(), ConfigError> {
        Arc::make_mut(&mut self.inner.config.lock().components).register(component)?;
        self.inner.refresh();
        Ok(())
    }

    /// Registers a component, or adds to what is registered under its name: it is critical if either is, and depends on what
    /// either depends on.
    ///
    /// # Errors
    /// As of [`register`](Self::register).
    #[cfg(feature = "hub")]
    pub(crate) fn join(&self, component: Component) -> Result<(), ConfigError> {
        Arc::make_mut(&mut self.inner.config.lock().components).join(component)?;
        self.inner.refresh();
        Ok(())
    }

    /// Takes a snapshot now.
    #[must_use]
    pub fn snapshot(&self) -> HealthSnapshot {
        Arc::unwrap_or_clone(self.inner.snapshot(clock::now()))
    }
}

impl Default for Health {
    /// The same as [`Health::standalone`].
    fn default() -> Self {
        Self::standalone()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("spans", &self.inner.of_pipeline)
            .field("draining", &self.inner.is_draining())
            .finish_non_exhaustive()
    }
}

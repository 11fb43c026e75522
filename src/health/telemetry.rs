use std::sync::Arc;

use super::handle::Health;
use super::texts::Texts;
use crate::telemetry::Telemetry;

impl Telemetry {
    /// The health of every component that has spans, a circuit breaker or dead letters, and of what a sampler reads.
    ///
    /// Each pipeline has one: all callers get the same, with all components that were registered. The first call starts
    /// the export of its metrics. The texts of its checks and healings are redacted with the settings of the pipeline.
    ///
    /// # Example
    /// ```
    /// use campanile::Telemetry;
    /// use campanile::health::Component;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let telemetry = Telemetry::builder("checkout").build()?;
    /// let health = telemetry.health();
    /// health.register(Component::new("payments").critical(true))?;
    /// for component in health.snapshot().components {
    ///     println!("{}: {} ({:.2})", component.name, component.status, component.score);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn health(&self) -> Health {
        let health = self.slot(|| Health::of_pipeline(Arc::clone(self.vitals()), Texts::of(self.redactor())));
        Health::clone(&health)
    }
}

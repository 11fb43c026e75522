use std::sync::Arc;

use super::Health;
use super::texts::Texts;
use crate::telemetry::Telemetry;

impl Telemetry {
    /// The health of every component that has spans, a circuit breaker or dead letters, and of what a sampler reads.
    ///
    /// There is one per pipeline: what one caller registers, all see. From the first call on its scores are
    /// metrics too. The texts of its checks and healings are redacted as the pipeline does it.
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
        let health = self.slot(|| Health::of_vitals(Arc::clone(self.vitals()), Texts::of(self.redactor())));
        Health::clone(&health)
    }
}

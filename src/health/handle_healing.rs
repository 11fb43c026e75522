use std::sync::{Arc, Weak};

use super::check::Checks;
use super::handle::Health;
use super::heal::{HealContext, Healing, HealingHandle, HealingLimits, HealingRecord};
use super::inner::Inner;
use super::snapshot::HealthSnapshot;
use crate::base::clock;
use crate::base::error::ConfigError;

impl Health {
    /// Adds a healing. Once a [round](super::HealthSettings::round) its condition is tested, and its action runs when
    /// the condition holds: on the Tokio runtime of this call, or without one on the runtime of the round.
    ///
    /// # Errors
    /// When a setting is out of its range, or when the component has a healing of the same name. The error names it.
    ///
    /// # Example
    /// ```
    /// use campanile::health::{Action, Healing, ReasonKind, When};
    /// use campanile::{CircuitBreaker, Health};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let health = Health::standalone();
    /// let breaker = CircuitBreaker::builder("payments").build()?;
    /// let reset = Healing::new("reset-circuit", "payments")
    ///     .when(When::reason(ReasonKind::CircuitOpen))
    ///     .action(Action::reset(&breaker))
    ///     .verify(false);
    /// let handle = health.heal(reset)?;
    ///
    /// let record = handle.run_now().await?;
    /// assert!(record.outcome.is_success() && record.by_hand);
    /// assert_eq!(health.healings(), handle.records());
    /// # Ok(())
    /// # }
    /// ```
    pub fn heal(&self, healing: Healing) -> Result<HealingHandle, ConfigError> {
        let context: Weak<dyn HealContext> = Arc::downgrade(&self.inner) as Weak<dyn HealContext>;
        let handle = HealingHandle::add(&self.inner.healers, healing, context, self.inner.texts.clone())?;
        self.inner.ensure_rounds();
        Ok(handle)
    }

    /// The records of all healings, the oldest first. The last 64 of each healing are kept.
    #[must_use]
    pub fn healings(&self) -> Vec<Arc<HealingRecord>> {
        self.inner.healers.records()
    }

    /// Replaces the limits that all healings of this health share.
    ///
    /// # Errors
    /// When a limit is out of its range, or when the [file](HealingLimits::remember_in) cannot be read or written (a
    /// full disk is not an error). The error names the setting, and nothing changes.
    pub fn limit_healing(&self, limits: HealingLimits) -> Result<(), ConfigError> {
        limits.validate()?;
        self.inner.healers.limit(limits)
    }
}

impl HealContext for Inner {
    fn is_draining(&self) -> bool {
        self.lifecycle.is_draining()
    }

    fn take_snapshot(&self) -> Arc<HealthSnapshot> {
        self.snapshot(clock::now())
    }

    fn discard_cached(&self) {
        self.refresh();
    }

    fn checks(&self) -> Arc<Checks> {
        Arc::clone(&self.checks)
    }
}

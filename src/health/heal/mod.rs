//! Healing: actions that may help, as seldom as they must be.
//!
//! # Why
//! Some failures go away when a worker is restarted, a circuit reset or a queue sent again, and somebody is woken at
//! night to do it. A program that does it by itself can do harm as well: one that restarts what is slow because its
//! database is down makes two outages of one, and one that restarts for ever hides the failure. So an action is
//! held to limits, is looked after, and leaves a record. What it promises is written at [`Healing`].

mod action;
mod command;
mod counts;
mod course;
mod floor;
mod handle;
mod healers;
mod healing;
mod hour;
mod memory;
mod record;
mod run;
mod settings;
mod strays;
mod when;

use std::sync::Arc;

pub use action::Action;
pub use course::HealingStatus;
pub use handle::HealingHandle;
pub(super) use healers::Healers;
pub use healing::Healing;
pub use record::{HealingOutcome, HealingRecord, Withheld};
pub use settings::{HealingLimits, HealingSettings};
pub use when::When;

use super::handle::Health;
use crate::base::error::ConfigError;

impl Health {
    /// Sets a healing up: from now on its component is looked at once a
    /// [round](super::HealthSettings::round), and healed when that is called for. It acts on the Tokio runtime that
    /// this is called on, or that the round runs on.
    ///
    /// # Errors
    /// Names the setting that is out of its range, or the name when the component has a healing called so.
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
        let healer = self.healers().add(healing, self.downgrade(), self.texts().clone())?;
        self.keep_rounds();
        Ok(HealingHandle::new(healer))
    }

    /// What all healings did, in the order in which they began; the last 64 of each are kept.
    #[must_use]
    pub fn healings(&self) -> Vec<Arc<HealingRecord>> {
        self.healers().records()
    }

    /// Says what holds for all healings together from now on.
    ///
    /// # Errors
    /// Names the setting that is out of its range, or a [file](HealingLimits::remember_in) that cannot be read or, but
    /// for a full disk, written; then nothing changes.
    pub fn limit_healing(&self, limits: HealingLimits) -> Result<(), ConfigError> {
        limits.validate()?;
        self.healers().limit(limits)
    }
}

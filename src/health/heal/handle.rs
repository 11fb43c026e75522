//! The handle of a healing.

use std::sync::{Arc, Weak};

use super::context::HealContext;
use super::healer::Healer;
use super::healers::Healers;
use super::healing::Healing;
use super::record::{HealingRecord, Withheld};
use super::status::HealingStatus;
use crate::base::clock;
use crate::base::error::ConfigError;
use crate::base::sync::atomic::Ordering;
use crate::health::texts::Texts;

/// A healing that was added by [`Health::heal`](crate::Health::heal). Cheap to clone. Dropping it does not remove the
/// healing.
#[derive(Clone, Debug)]
pub struct HealingHandle {
    healer: Arc<Healer>,
}

impl HealingHandle {
    /// Adds a healing.
    pub(in crate::health) fn add(
        healers: &Healers,
        healing: Healing,
        context: Weak<dyn HealContext>,
        texts: Texts,
    ) -> Result<Self, ConfigError> {
        Ok(Self { healer: healers.add(healing, context, texts)? })
    }

    /// Returns the records of the last 64 actions, the oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<Arc<HealingRecord>> {
        self.healer.records()
    }

    /// Returns the current state.
    #[must_use]
    pub fn status(&self) -> HealingStatus {
        self.healer.status()
    }

    /// Stops the healing from starting by itself. A running action continues.
    pub fn pause(&self) {
        self.healer.paused.store(true, Ordering::Release);
    }

    /// Undoes [`pause`](HealingHandle::pause).
    pub fn resume(&self) {
        self.healer.paused.store(false, Ordering::Release);
    }

    /// Runs the action now and returns the record.
    ///
    /// The condition need not hold, the healing may be paused, and the component may fail because of another component. All
    /// other limits apply, and the action counts for them. Dropping the future does not end the action.
    ///
    /// The record is complete after the verification: up to
    /// [`verify_within`](super::HealingSettings::verify_within) after the action.
    ///
    /// # Errors
    /// The limit that does not allow the action now.
    pub async fn run_now(&self) -> Result<Arc<HealingRecord>, Withheld> {
        let task = {
            let snapshot = self.healer.context.upgrade().map(|context| context.take_snapshot());
            let snapshot = snapshot.as_ref();
            let component = snapshot.and_then(|it| it.component(&self.healer.healing.component));
            let task = self.healer.start(component, true, clock::now());
            task.inspect_err(|withheld| self.healer.counters.add_withheld(*withheld))?
        };
        // The task fails only when its runtime ends.
        task.await.map_err(|_| Withheld::NoRuntime)
    }
}

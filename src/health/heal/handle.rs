//! What can be asked of a healing, and told to it.

use std::sync::{Arc, Weak};

use super::context::HealContext;
use super::course::HealingStatus;
use super::healers::{Healer, Healers};
use super::healing::Healing;
use super::record::{HealingRecord, Withheld};
use crate::base::clock;
use crate::base::error::ConfigError;
use crate::health::texts::Texts;

/// A healing that is set up; see [`Health::heal`](crate::Health::heal). Cheap to clone; to drop it changes nothing.
#[derive(Clone, Debug)]
pub struct HealingHandle {
    pub(super) healer: Arc<Healer>,
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

    /// The name of the healing.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.healer.healing.name
    }

    /// The component that it is for.
    #[must_use]
    pub fn component(&self) -> &str {
        &self.healer.healing.component
    }

    /// What was done, the newest last; the last 64 are kept.
    #[must_use]
    pub fn records(&self) -> Vec<Arc<HealingRecord>> {
        self.healer.records()
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> HealingStatus {
        self.healer.status()
    }

    /// From now on it does not begin by itself. What runs goes on.
    pub fn pause(&self) {
        self.healer.pause(true);
    }

    /// Undoes [`pause`](HealingHandle::pause).
    pub fn resume(&self) {
        self.healer.pause(false);
    }

    /// Does it now, whether or not anything calls for it, and gives the record. It may be paused, and its component may
    /// fail because of another one: who asks knows better. All other limits hold, and it counts as one that began by
    /// itself. When this is dropped it goes on.
    ///
    /// The record comes when the verification is over: up to
    /// [`verify_within`](super::HealingSettings::verify_within) after the action.
    ///
    /// # Errors
    /// Why it did not begin.
    pub async fn run_now(&self) -> Result<Arc<HealingRecord>, Withheld> {
        let task = {
            let snapshot = self.healer.context.upgrade().map(|context| context.take_snapshot());
            let snapshot = snapshot.as_ref();
            let component = snapshot.and_then(|it| it.component(&self.healer.healing.component));
            let task = self.healer.begin(component, true, clock::now());
            task.inspect_err(|withheld| self.healer.counts.withheld(*withheld))?
        };
        // It is lost only with its runtime.
        task.await.map_err(|_| Withheld::NoRuntime)
    }
}

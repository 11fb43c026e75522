//! Healing: actions that may help, as seldom as they must be.

use std::sync::Arc;

use super::snapshot::HealthSnapshot;
use crate::signal::Emit;

/// The actions of one health.
#[derive(Debug, Default)]
pub(super) struct Healers {}

impl Healers {
    /// Looks whether a component needs one of them.
    pub(super) fn after_round(&self, snapshot: &Arc<HealthSnapshot>) {
        let _ = snapshot;
    }

    /// Tells what is counted.
    pub(super) fn observe(&self, emit: &mut Emit<'_>) {
        let _ = emit;
    }
}

//! The checks of one health.

use std::sync::Arc;

use super::report::CheckReport;
use crate::signal::Emit;

/// The checks of one health, each with what it found last.
#[derive(Debug, Default)]
pub(in crate::health) struct Checks {}

impl Checks {
    /// What each found last; those of one component one after the other.
    pub(in crate::health) fn reports(&self) -> Vec<Arc<CheckReport>> {
        Vec::new()
    }

    /// Runs all checks of `component` now, side by side, and gives what they found.
    pub(in crate::health) async fn run(&self, component: &str) -> Vec<Arc<CheckReport>> {
        let _ = component;
        Vec::new()
    }

    /// Tells what is counted.
    pub(in crate::health) fn observe(&self, emit: &mut Emit<'_>) {
        let _ = emit;
    }
}

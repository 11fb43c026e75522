//! The GPUs, by the library of their driver.

mod settings;

use std::time::Duration;

pub use settings::GpuSettings;

use super::probe::Plan;

/// The sources of the GPUs.
pub(super) fn plans(_settings: &GpuSettings, _every: Duration) -> Vec<Plan> {
    Vec::new()
}

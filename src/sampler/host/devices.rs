//! The parts that disks, file systems and network interfaces share.

use crate::sampler::probe::{Failures, ProbeError};
use crate::signal::capacity::DEVICES;

/// Adds a failure if there are more of `what` than are reported.
pub(super) fn too_many(too_many: bool, what: &'static str, failures: &mut Failures) {
    if too_many {
        failures.add(
            what,
            ProbeError(format!("there are more than {DEVICES} {what}; the others are not reported").into()),
        );
    }
}

/// A sum of whole numbers.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Counters are not negative.
pub(super) fn whole(value: f64) -> u64 {
    value.round() as u64
}

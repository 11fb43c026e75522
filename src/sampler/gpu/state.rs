//! The state of a GPU, also by the errors that its driver reports.

use serde::Serialize;

words! {
    /// The state of a device, by the OpenTelemetry conventions. `Display` writes it as they do, such as `predicted_failure`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum GpuState {
        /// It works.
        #[default]
        Ok = "ok",
        /// It runs more slowly than it could, or a program failed on it in the last five minutes.
        Degraded = "degraded",
        /// It works, and has reported faults that get worse.
        PredictedFailure = "predicted_failure",
        /// It does not work: it is lost, must be reset, or reported an error that only a reset clears.
        Failed = "failed",
    }
    pub(crate) as_str;
    pub(super) ALL;
}

impl GpuState {
    /// The state as a figure with limits: 0 works, 1 is degraded, 2 failed.
    pub(super) fn figure(self) -> f64 {
        match self {
            Self::Ok => 0.0,
            Self::Degraded | Self::PredictedFailure => 1.0,
            Self::Failed => 2.0,
        }
    }
}

/// The state of a device after an Xid, which is the number of an error that the driver reports.
///
/// It follows from the immediate action in NVIDIA's catalogue
/// (<https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html>).
pub(super) fn of_xid(xid: u64) -> GpuState {
    match xid {
        // The action is to reset the GPU or to restart the machine, or the description says that only this clears the
        // error (48 and 74). Not 155, which is also reported for links that were taken down on purpose.
        46 | 48 | 62 | 64 | 74 | 79 | 95 | 109 | 110 | 119 | 120 | 136 | 140 | 143 | 151 | 156 | 158 => {
            GpuState::Failed
        }
        // Memory was remapped, or could not be, or has frequent errors. The GPU works, and should be reset when convenient.
        63 | 92 | 94 | 157 | 161 => GpuState::PredictedFailure,
        // Caused by an operator or a test, or the summary of another Xid.
        14 | 106 | 107 | 154 => GpuState::Ok,
        // Usually a fault of a program, which must be restarted. The device works.
        _ => GpuState::Degraded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_after_an_xid_follows_from_its_action() {
        assert_eq!(of_xid(79), GpuState::Failed);
        assert_eq!(of_xid(95), GpuState::Failed);
        assert_eq!(of_xid(94), GpuState::PredictedFailure);
        assert_eq!(of_xid(31), GpuState::Degraded);
        assert_eq!(of_xid(154), GpuState::Ok);
        assert_eq!(of_xid(999), GpuState::Degraded);
        assert!(GpuState::ALL.is_sorted());
    }
}

//! The figures of this process at one moment.

use std::time::Duration;

use crate::sampler::snapshot::ProcessSnapshot;

/// This process at one moment. A value is `None` if this system does not report it.
#[derive(Default)]
pub(in crate::sampler) struct ProcessReading {
    pub(in crate::sampler) snapshot: ProcessSnapshot,
    pub(super) cpu: CpuTime,
    /// The processors of the machine that are online.
    pub(super) cpus: Option<u64>,
    /// Context switches: voluntary and involuntary.
    pub(super) switches: [Option<u64>; 2],
    /// Page faults: minor and major.
    pub(super) faults: [Option<u64>; 2],
    pub(super) uptime: Option<Duration>,
}

/// The processor time since the process started.
#[derive(Clone, Copy, Default)]
pub(super) struct CpuTime {
    pub(super) user: Duration,
    /// `None` if the system does not report the modes; then `user` is all of it.
    pub(super) system: Option<Duration>,
}

impl CpuTime {
    pub(super) fn all(self) -> Duration {
        self.user + self.system.unwrap_or_default()
    }
}

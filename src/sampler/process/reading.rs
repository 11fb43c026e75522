//! The figures of this process at one moment.

use std::time::Duration;

use crate::sampler::snapshot::ProcessSnapshot;

/// This process at one moment. `None` is what this system does not tell.
#[derive(Default)]
pub(in crate::sampler) struct ProcessReading {
    pub(in crate::sampler) snapshot: ProcessSnapshot,
    pub(super) cpu: CpuTime,
    /// Processors of the machine that are online.
    pub(super) cpus: Option<u64>,
    /// Times that a thread left a processor: of its own accord, and not.
    pub(super) switches: [Option<u64>; 2],
    /// Page faults: minor and major.
    pub(super) faults: [Option<u64>; 2],
    pub(super) uptime: Option<Duration>,
}

/// Processor time since the process started.
#[derive(Clone, Copy, Default)]
pub(super) struct CpuTime {
    pub(super) user: Duration,
    /// `None` where the system does not tell the two apart: then all of it is in `user`.
    pub(super) system: Option<Duration>,
}

impl CpuTime {
    pub(super) fn all(self) -> Duration {
        self.user + self.system.unwrap_or_default()
    }
}

//! Reads this process with `sysinfo`, on systems without `/proc`.

use std::time::Duration;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::reading::{CpuTime, ProcessReading};
use crate::sampler::probe::{Failures, ProbeError};
use crate::sampler::snapshot::ProcessSnapshot;

/// Reads this process.
#[derive(Default)]
pub(super) struct Reader {
    system: System,
}

impl Reader {
    pub(super) fn read(&mut self, _failures: &mut Failures) -> Result<ProcessReading, ProbeError> {
        let system = &mut self.system;
        let pid = Pid::from_u32(std::process::id());
        // "everything" would also read the command line and all threads.
        let figures =
            ProcessRefreshKind::nothing().with_cpu().with_memory().with_disk_usage().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, figures);
        let process =
            system.process(pid).ok_or(ProbeError("this process is not in the list of processes".into()))?;
        let disk = process.disk_usage();
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(ProcessReading {
            cpu: CpuTime { user: Duration::from_millis(process.accumulated_cpu_time()), system: None },
            cpus: Some(system.cpus().len().max(cpus) as u64),
            snapshot: ProcessSnapshot {
                memory: Some(process.memory()),
                memory_virtual: Some(process.virtual_memory()),
                disk_read: Some(disk.total_read_bytes),
                disk_written: Some(disk.total_written_bytes),
                ..ProcessSnapshot::default()
            },
            uptime: Some(Duration::from_secs(process.run_time())),
            ..ProcessReading::default()
        })
    }
}

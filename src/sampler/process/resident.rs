//! The resident memory of this process, read on demand.

/// The resident memory of this process in bytes; `None` if it cannot be read.
#[cfg(target_os = "linux")]
pub(crate) fn resident_memory() -> Option<u64> {
    crate::sampler::files::kib(&std::fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The resident memory of this process in bytes; `None` if it cannot be read.
#[cfg(not(target_os = "linux"))]
pub(crate) fn resident_memory() -> Option<u64> {
    use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
    let (mut system, pid) = (System::new(), Pid::from_u32(std::process::id()));
    let figures = ProcessRefreshKind::nothing().with_memory().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, figures);
    system.process(pid).map(sysinfo::Process::memory)
}

#[cfg(test)]
mod tests {
    use super::resident_memory;

    #[test]
    fn the_resident_memory_of_this_process_is_read() {
        assert!(resident_memory().is_some_and(|bytes| bytes > 100_000));
    }
}

//! Memory, swap space and paging, from `/proc/meminfo` and `/proc/vmstat`.

#[cfg(target_os = "linux")]
use procfs::VmStat;

use crate::sampler::count;
#[cfg(target_os = "linux")]
use crate::sampler::files::kib;
use crate::sampler::probe::Sample;
use crate::sampler::snapshot::{MemorySnapshot, SwapSnapshot};
use crate::signal::{
    SYSTEM_MEMORY_AVAILABLE, SYSTEM_MEMORY_LIMIT, SYSTEM_MEMORY_SHARED, SYSTEM_MEMORY_USAGE,
    SYSTEM_MEMORY_UTILIZATION, SYSTEM_PAGING_USAGE, SYSTEM_PAGING_UTILIZATION,
};
#[cfg(target_os = "linux")]
use crate::signal::{SYSTEM_PAGING_FAULTS, SYSTEM_PAGING_OPERATIONS};

/// The states add up to the whole.
pub(super) fn emit(memory: &MemorySnapshot, sample: &mut Sample) {
    let limit = count(memory.limit);
    sample.value(&SYSTEM_MEMORY_LIMIT, limit);
    for (state, bytes) in [
        ("used", Some(memory.used)),
        ("free", Some(memory.free)),
        ("buffers", memory.buffers),
        ("cached", memory.cached),
    ] {
        let (state, bytes) = (("system.memory.state", state), bytes.map(count));
        sample.by(&SYSTEM_MEMORY_USAGE, state, bytes);
        sample.by(&SYSTEM_MEMORY_UTILIZATION, state, bytes.map(|bytes| bytes / limit));
    }
    if cfg!(target_os = "linux") {
        sample.value(&SYSTEM_MEMORY_AVAILABLE, count(memory.available));
    }
    sample.value(&SYSTEM_MEMORY_SHARED, memory.shared.map(count));
}

/// A machine without swap space has no such metrics.
pub(super) fn emit_swap(swap: &SwapSnapshot, sample: &mut Sample) {
    for (state, bytes) in [("used", swap.used), ("free", swap.free)] {
        let state = ("system.paging.state", state);
        sample.by(&SYSTEM_PAGING_USAGE, state, count(bytes));
        sample.by(&SYSTEM_PAGING_UTILIZATION, state, count(bytes) / count(swap.limit));
    }
}

/// Memory and swap space, if what the file says makes sense.
#[cfg(target_os = "linux")]
pub(super) fn from_meminfo(text: &str) -> (Option<MemorySnapshot>, Option<SwapSnapshot>) {
    let bytes = |key| kib(text, key);
    let memory = || {
        let (limit, free) = (bytes("MemTotal:").filter(|limit| *limit > 0)?, bytes("MemFree:")?);
        // What `free` calls the cache: the pages and the part of the kernel's own caches that it would give back.
        let reclaimable = bytes("SReclaimable:").unwrap_or(0);
        let (buffers, cached) = (bytes("Buffers:")?, bytes("Cached:")?.saturating_add(reclaimable));
        Some(MemorySnapshot {
            limit,
            used: limit.checked_sub(free.saturating_add(buffers).saturating_add(cached))?,
            free,
            available: bytes("MemAvailable:").unwrap_or(free).min(limit),
            buffers: Some(buffers),
            cached: Some(cached),
            shared: bytes("Shmem:"),
        })
    };
    let swap = || {
        let (limit, free) = (bytes("SwapTotal:").filter(|limit| *limit > 0)?, bytes("SwapFree:")?);
        Some(SwapSnapshot { limit, used: limit.checked_sub(free)?, free })
    };
    (memory(), swap())
}

/// What was paged since the machine started.
#[cfg(target_os = "linux")]
pub(super) fn emit_paging(VmStat(vmstat): &VmStat, sample: &mut Sample) {
    let value = |key| vmstat.get(key).and_then(|value| u64::try_from(*value).ok()).map(count);
    let major = value("pgmajfault");
    let minor = value("pgfault").zip(major).map(|(all, major)| (all - major).max(0.0));
    for (kind, faults) in [("major", major), ("minor", minor)] {
        sample.by(&SYSTEM_PAGING_FAULTS, ("system.paging.fault.type", kind), faults);
    }
    for (direction, pages) in [("in", value("pswpin")), ("out", value("pswpout"))] {
        sample.by(&SYSTEM_PAGING_OPERATIONS, ("system.paging.direction", direction), pages);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use procfs::FromBufRead;

    use super::*;

    const MEMINFO: &str = "MemTotal:       24684084 kB\nMemFree:        23611012 kB\nMemAvailable:   24125512 kB\n\
        Buffers:            3572 kB\nCached:           667644 kB\nSwapCached:            0 kB\nSReclaimable:  1000 kB\n\
        Shmem:  8788 kB\nSwapTotal:  4096 kB\nSwapFree:  1024 kB\nHugePages_Total:       0\n";

    fn memory(text: &str) -> Option<MemorySnapshot> {
        from_meminfo(text).0
    }

    #[test]
    fn p41_the_states_of_memory_add_up() {
        let (memory, swap) = from_meminfo(MEMINFO);
        let memory = memory.unwrap();
        assert_eq!(memory.limit, 24_684_084 * 1_024);
        assert_eq!(memory.cached, Some(668_644 * 1_024));
        assert_eq!(memory.shared, Some(8_788 * 1_024));
        assert_eq!(
            memory.used + memory.free + memory.buffers.unwrap() + memory.cached.unwrap(),
            memory.limit
        );
        let swap = swap.unwrap();
        assert_eq!((swap.limit, swap.used, swap.free), (4_096 * 1_024, 3_072 * 1_024, 1_024 * 1_024));
    }

    #[test]
    fn p41_no_swap_is_nothing_to_report() {
        let text = MEMINFO.replace("4096", "0").replace("1024 kB", "0 kB");
        let (memory, swap) = from_meminfo(&text);
        assert!(memory.is_some());
        assert_eq!(swap, None);
    }

    #[test]
    fn a_meminfo_that_makes_no_sense_is_not_taken() {
        assert_eq!(memory(""), None);
        assert_eq!(memory(&MEMINFO.replace("24684084", "lots")), None);
        assert_eq!(memory(&MEMINFO.replace("24684084", "12")), None);
        assert_eq!(memory(&MEMINFO.replace("24684084", "0")), None);
        assert_eq!(memory(&MEMINFO.replace("3572", "99999999999999999999")), None);
    }

    #[test]
    fn gvisor_leaves_fields_out_that_procfs_insists_on() {
        let text = "MemTotal: 8 kB\nMemFree: 3 kB\nMemAvailable: 3 kB\nBuffers: 0 kB\nCached: 1 kB\nSwapCache: 0 kB\n\
            Active: 2 kB\nInactive: 0 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\nDirty: 0 kB\nWriteback: 0 kB\n\
            AnonPages: 2 kB\nMapped: 1 kB\nShmem: 1 kB\n";
        assert_eq!(memory(text).unwrap().used, 4 * 1_024);
        // If it does not insist any more, it may read this file too.
        assert!(procfs::Meminfo::from_buf_read(text.as_bytes()).is_err());
    }

    #[test]
    fn p41_minor_faults_are_those_that_are_not_major() {
        let paged = |text: &str| {
            let mut sample = Sample::default();
            emit_paging(&VmStat::from_buf_read(text.as_bytes()).unwrap(), &mut sample);
            sample.readings.iter().map(|reading| reading.value).collect::<Vec<_>>()
        };
        let text = "pgfault 100\npgmajfault 30\npgfault_a 1\npswpin 4\npswpout -1\n";
        assert_eq!(paged(text), [30.0, 70.0, 4.0]);
        assert_eq!(paged(""), [0.0; 0]);
    }
}

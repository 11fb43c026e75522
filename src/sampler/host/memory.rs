//! Memory, swap space and paging, from `/proc/meminfo` and `/proc/vmstat`.
//!
//! Used memory is what is not available: `MemTotal` − `MemAvailable`, as in `free` of procps 4. So it includes caches that
//! the kernel cannot free: shared memory, files in a tmpfs, the kernel's own memory, reserved huge pages. The kernel can
//! free the cache of ZFS (ARC) but does not count it as available, so the part that ZFS can free is added here. Available
//! memory is split into free memory, buffers and cache, so that the states add up to the whole.
//!
//! Each figure is read on its own. A figure that is larger than the memory of the machine is ignored, and the next best
//! figure replaces it. Such figures occur in containers whose `/proc` mixes figures of the host with their own.

#[cfg(target_os = "linux")]
use crate::sampler::files::{kib, value};
use crate::sampler::probe::{Sample, count};
use crate::sampler::snapshot::{MemorySnapshot, SwapSnapshot};
use crate::signal::{
    SYSTEM_MEMORY_AVAILABLE, SYSTEM_MEMORY_LIMIT, SYSTEM_MEMORY_SHARED, SYSTEM_MEMORY_USAGE,
    SYSTEM_MEMORY_UTILIZATION, SYSTEM_PAGING_USAGE, SYSTEM_PAGING_UTILIZATION,
};

/// The known figures of the memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) limit: Option<u64>,
    pub(super) used: Option<u64>,
    pub(super) free: Option<u64>,
    pub(super) available: Option<u64>,
    pub(super) buffers: Option<u64>,
    pub(super) cached: Option<u64>,
    pub(super) shared: Option<u64>,
}

/// The known figures of the swap space, in bytes. No limit if there is no swap space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Swap {
    pub(super) limit: Option<u64>,
    pub(super) free: Option<u64>,
}

/// The cache of ZFS in bytes.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arc {
    size: u64,
    /// The size to which ZFS can shrink it.
    least: u64,
}

impl Memory {
    pub(super) fn emit(&self, sample: &mut Sample) {
        sample.value(&SYSTEM_MEMORY_LIMIT, self.limit.map(count));
        for (state, bytes) in
            [("used", self.used), ("free", self.free), ("buffers", self.buffers), ("cached", self.cached)]
        {
            let (state, bytes) = (("system.memory.state", state), bytes.map(count));
            sample.by(&SYSTEM_MEMORY_USAGE, state, bytes);
            let share = bytes.zip(self.limit).map(|(bytes, limit)| bytes / count(limit));
            sample.by(&SYSTEM_MEMORY_UTILIZATION, state, share);
        }
        if cfg!(target_os = "linux") {
            sample.value(&SYSTEM_MEMORY_AVAILABLE, self.available.map(count));
        }
        sample.value(&SYSTEM_MEMORY_SHARED, self.shared.map(count));
    }

    /// `None` if the share in use is not known.
    pub(super) fn snapshot(&self) -> Option<MemorySnapshot> {
        let Self { free, buffers, cached, shared, .. } = *self;
        let (limit, used, available) = (self.limit?, self.used?, self.available?);
        Some(MemorySnapshot { limit, used, free, available, buffers, cached, shared })
    }
}

impl Swap {
    /// Emits the metrics, if there is swap space.
    pub(super) fn emit(&self, sample: &mut Sample) {
        let Some(limit) = self.limit else { return };
        for (state, bytes) in [("used", self.used()), ("free", self.free)] {
            let (state, bytes) = (("system.paging.state", state), bytes.map(count));
            sample.by(&SYSTEM_PAGING_USAGE, state, bytes);
            sample.by(&SYSTEM_PAGING_UTILIZATION, state, bytes.map(|bytes| bytes / count(limit)));
        }
    }

    pub(super) fn snapshot(&self) -> Option<SwapSnapshot> {
        Some(SwapSnapshot { limit: self.limit?, used: self.used()?, free: self.free? })
    }

    fn used(&self) -> Option<u64> {
        self.limit?.checked_sub(self.free?)
    }
}

/// Memory and swap space from `/proc/meminfo`. Implausible figures are left out.
#[cfg(target_os = "linux")]
pub(super) fn from_meminfo(text: &str, arc: Option<Arc>) -> (Memory, Swap) {
    let most = |limit: Option<u64>| move |bytes: &u64| limit.is_none_or(|limit| *bytes <= limit);
    let limit = kib(text, "MemTotal:").filter(|limit| *limit > 0);
    let bytes = |key| kib(text, key).filter(most(limit));
    let (free, buffers, pages) = (bytes("MemFree:"), bytes("Buffers:"), bytes("Cached:"));
    let shared = bytes("Shmem:");
    // For kernels before 3.14, which have no `MemAvailable`. `Cached` includes shared memory.
    let estimate = || {
        let cache = pages.unwrap_or(0).saturating_sub(shared.unwrap_or(0));
        let more = [buffers, Some(cache), bytes("SReclaimable:")].into_iter().flatten();
        Some(more.fold(free?, u64::saturating_add)).filter(most(limit))
    };
    let available = bytes("MemAvailable:").or_else(estimate).or(free);
    let used = limit.zip(available).map(|(limit, available)| limit - available);
    // If the cache of ZFS is larger than the used memory, it is that of another machine.
    let given_back = arc.filter(|arc| used.is_some_and(|used| arc.size <= used));
    let given_back = given_back.map_or(0, |arc| arc.size.saturating_sub(arc.least));
    let available = available.map(|available| available.saturating_add(given_back));
    let used = used.map(|used| used.saturating_sub(given_back));
    let mut memory = Memory { limit, used, free, available, buffers, cached: pages, shared };
    if let (Some(available), Some(free)) = (available, free) {
        // The kernel reserves a part of the free memory.
        let free = free.min(available);
        let buffers = buffers.map(|buffers| buffers.min(available - free));
        memory.free = Some(free);
        memory.buffers = buffers;
        memory.cached = Some(available - free - buffers.unwrap_or(0));
    }
    let limit = kib(text, "SwapTotal:").filter(|limit| *limit > 0);
    (memory, Swap { limit, free: kib(text, "SwapFree:").filter(most(limit)) })
}

#[cfg(target_os = "linux")]
impl Arc {
    /// Parses `/proc/spl/kstat/zfs/arcstats`, which has a name, a type and a value in each line.
    pub(super) fn from_stats(text: &str) -> Option<Self> {
        let value = |name| {
            let mut lines = text.lines().map(str::split_ascii_whitespace);
            lines.find_map(|mut line| (line.next()? == name).then(|| line.nth(1)?.parse().ok()).flatten())
        };
        Some(Self { size: value("size")?, least: value("c_min")? })
    }
}

/// Major and minor page faults, and pages swapped in and out, since the machine started.
#[cfg(target_os = "linux")]
pub(super) fn paged(vmstat: &str) -> [Option<f64>; 4] {
    let value = |key| value(vmstat, key).map(count);
    let major = value("pgmajfault ");
    let minor = value("pgfault ").zip(major).map(|(all, major)| (all - major).max(0.0));
    [major, minor, value("pswpin "), value("pswpout ")]
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use procfs::FromBufRead;

    use super::*;

    const MEMINFO: &str = "MemTotal:       24684084 kB\nMemFree:        23011012 kB\nMemAvailable:   24125512 kB\n\
        Buffers:            3572 kB\nCached:           667644 kB\nSwapCached:            0 kB\nSReclaimable:  1000 kB\n\
        Shmem:  8788 kB\nSwapTotal:  4096 kB\nSwapFree:  1024 kB\nHugePages_Total:       0\n";
    const KIB: u64 = 1_024;

    fn memory(text: &str) -> Memory {
        from_meminfo(text, None).0
    }

    fn sum(memory: &Memory) -> u64 {
        [memory.used, memory.free, memory.buffers, memory.cached].into_iter().flatten().sum()
    }

    #[test]
    fn p41_the_states_of_memory_add_up_and_used_is_what_is_not_available() {
        let (memory, swap) = from_meminfo(MEMINFO, None);
        assert_eq!(memory.limit, Some(24_684_084 * KIB));
        assert_eq!(memory.used, Some((24_684_084 - 24_125_512) * KIB));
        assert_eq!((memory.free, memory.buffers), (Some(23_011_012 * KIB), Some(3_572 * KIB)));
        assert_eq!(memory.shared, Some(8_788 * KIB));
        assert_eq!(sum(&memory), memory.limit.unwrap());
        let swap = swap.snapshot().unwrap();
        assert_eq!((swap.limit, swap.used, swap.free), (4_096 * KIB, 3_072 * KIB, KIB * KIB));
        // More is free than is available.
        let memory = self::memory(
            "MemTotal: 100 kB\nMemFree: 90 kB\nMemAvailable: 80 kB\nBuffers: 3 kB\nCached: 4 kB\n",
        );
        assert_eq!((memory.used, memory.free, memory.cached), (Some(20 * KIB), Some(80 * KIB), Some(0)));
        assert_eq!(sum(&memory), 100 * KIB);
    }

    #[test]
    fn p41_without_swap_there_are_no_figures_of_it() {
        let text = MEMINFO.replace("4096", "0").replace("1024 kB", "0 kB");
        let (memory, swap) = from_meminfo(&text, None);
        assert!(memory.snapshot().is_some());
        assert_eq!((swap.limit, swap.snapshot()), (None, None));
    }

    #[test]
    fn p40_an_implausible_figure_does_not_affect_the_others() {
        // A container whose `/proc` mixes in figures of the host: 97 % are in use.
        let lxcfs = "MemTotal: 1000 kB\nMemFree: 20 kB\nMemAvailable: 30 kB\nBuffers: 0 kB\nCached: 700 kB\nSReclaimable: 900 kB\nShmem: 0 kB\n";
        let used = |text: &str| memory(text).snapshot().map(|memory| memory.used / KIB);
        assert_eq!(used(lxcfs), Some(970));
        // lxcfs 2: free, cached and slab memory exceed the total here too.
        let old = "MemTotal: 998384 kB\nMemFree: 987608 kB\nMemAvailable: 987608 kB\nBuffers: 0 kB\nCached: 7480 kB\nShmem: 19340 kB\nSReclaimable: 65580 kB\n";
        assert_eq!(used(old), Some(10_776));
        // `MemAvailable` is that of the host. Then it is estimated, and at last the free memory is used.
        let host = lxcfs.replace("MemAvailable: 30", "MemAvailable: 99999");
        assert_eq!(used(&host), Some(980));
        assert_eq!(used(&host.replace("SReclaimable: 900", "SReclaimable: 100")), Some(180));
        assert_eq!(
            used(
                &host
                    .replace("SReclaimable: 900", "SReclaimable: 9999")
                    .replace("Cached: 700", "Cached: 100")
            ),
            Some(880)
        );
        let text = |change: (&str, &str)| MEMINFO.replace(change.0, change.1);
        let all = memory(MEMINFO);
        for bad in ["lots", "-5", "99999999999999999999", ""] {
            let odd = memory(&text(("24684084", bad)));
            assert_eq!((odd.limit, odd.used, odd.available), (None, None, all.available), "{bad}");
            let odd = memory(&text(("24125512", bad)));
            assert_eq!(
                odd.used,
                Some((24_684_084 - 23_011_012 - 3_572 - (667_644 - 8_788) - 1_000) * KIB),
                "{bad}"
            );
            let odd = memory(&text(("23011012", bad)));
            assert_eq!((odd.used, odd.free), (all.used, None), "{bad}");
            let odd = memory(&text(("3572", bad)));
            assert_eq!((odd.used, odd.free, odd.buffers), (all.used, all.free, None), "{bad}");
            let odd = memory(&text(("667644", bad)));
            assert_eq!(odd, all, "memory that is neither used nor free nor a buffer is cache");
        }
        assert_eq!(memory(""), Memory::default());
        assert_eq!(memory("MemTotal: 0 kB\nMemFree: 5 kB").free, Some(5 * KIB));
        let (_, swap) = from_meminfo(&text(("SwapFree:  1024", "SwapFree:  9999")), None);
        assert_eq!((swap.limit, swap.used(), swap.free), (Some(4_096 * KIB), None, None));
    }

    #[test]
    fn p40_the_cache_of_zfs_is_available_unless_it_is_that_of_another_machine() {
        let stats = "13 1 0x01 123 33456 1 2\nname                            type data\nhits 4 5\nc_min 4 20480\nc 4 7\nsize 4 307200\n";
        let arc = Arc::from_stats(stats);
        assert_eq!(arc, Some(Arc { size: 300 * KIB, least: 20 * KIB }));
        let text =
            "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 150 kB\nBuffers: 10 kB\nCached: 60 kB\n";
        let memory = from_meminfo(text, arc).0;
        assert_eq!((memory.used, memory.available), (Some(570 * KIB), Some(430 * KIB)));
        assert_eq!((memory.cached, sum(&memory)), (Some(320 * KIB), 1_000 * KIB));
        let small = "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 900 kB\n";
        assert_eq!(from_meminfo(small, arc).0.used, Some(100 * KIB));
        assert_eq!(Arc::from_stats("size 4 x\nc_min 4 1"), None);
    }

    #[test]
    fn the_file_of_gvisor_is_read_which_procfs_rejects() {
        let text = "MemTotal: 8 kB\nMemFree: 3 kB\nMemAvailable: 3 kB\nBuffers: 0 kB\nCached: 1 kB\nSwapCache: 0 kB\n\
            Active: 2 kB\nInactive: 0 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\nDirty: 0 kB\nWriteback: 0 kB\n\
            AnonPages: 2 kB\nMapped: 1 kB\nShmem: 1 kB\n";
        assert_eq!(memory(text).used, Some(5 * KIB));
        // If `procfs` reads it one day, it can replace this parser.
        assert!(procfs::Meminfo::from_buf_read(text.as_bytes()).is_err());
    }

    #[test]
    fn p41_minor_faults_are_all_faults_without_the_major_ones() {
        let text = "pgfault 100\npgmajfault 30\npgfault_a 1\npswpin 4\npswpout -1\n";
        assert_eq!(paged(text), [Some(30.0), Some(70.0), Some(4.0), None]);
        assert_eq!(paged("pswpout 7\npgfault x"), [None, None, None, Some(7.0)]);
    }
}

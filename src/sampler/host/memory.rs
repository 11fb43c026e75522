//! Memory, swap space and paging, from `/proc/meminfo` and `/proc/vmstat`.

use crate::sampler::count;
use crate::sampler::probe::{Labels, Sample};
use crate::sampler::snapshot::{MemorySnapshot, SwapSnapshot};
#[cfg(target_os = "linux")]
use crate::sampler::text::{fields, lines, number};
use crate::signal::{
    SYSTEM_MEMORY_AVAILABLE, SYSTEM_MEMORY_LIMIT, SYSTEM_MEMORY_USAGE, SYSTEM_MEMORY_UTILIZATION,
    SYSTEM_PAGING_USAGE, SYSTEM_PAGING_UTILIZATION,
};
#[cfg(target_os = "linux")]
use crate::signal::{SYSTEM_MEMORY_SHARED, SYSTEM_PAGING_FAULTS, SYSTEM_PAGING_OPERATIONS};

const USED: Labels = Labels::Fixed(&[("system.memory.state", "used")]);
const FREE: Labels = Labels::Fixed(&[("system.memory.state", "free")]);
const BUFFERS: Labels = Labels::Fixed(&[("system.memory.state", "buffers")]);
const CACHED: Labels = Labels::Fixed(&[("system.memory.state", "cached")]);
const SWAP_USED: Labels = Labels::Fixed(&[("system.paging.state", "used")]);
const SWAP_FREE: Labels = Labels::Fixed(&[("system.paging.state", "free")]);

/// The states add up to the whole.
pub(super) fn emit(memory: &MemorySnapshot, sample: &mut Sample) {
    let limit = count(memory.limit);
    sample.value(&SYSTEM_MEMORY_LIMIT, limit);
    let states = [
        (Some(memory.used), &USED),
        (Some(memory.free), &FREE),
        (memory.buffers, &BUFFERS),
        (memory.cached, &CACHED),
    ];
    for (bytes, labels) in states {
        if let Some(bytes) = bytes {
            sample.with(&SYSTEM_MEMORY_USAGE, count(bytes), labels);
            sample.with(&SYSTEM_MEMORY_UTILIZATION, count(bytes) / limit, labels);
        }
    }
    if cfg!(target_os = "linux") {
        sample.value(&SYSTEM_MEMORY_AVAILABLE, count(memory.available));
    }
    #[cfg(target_os = "linux")]
    if let Some(shared) = memory.shared {
        sample.value(&SYSTEM_MEMORY_SHARED, count(shared));
    }
}

/// A machine without swap space has no such metrics.
pub(super) fn emit_swap(swap: &SwapSnapshot, sample: &mut Sample) {
    for (bytes, labels) in [(swap.used, &SWAP_USED), (swap.free, &SWAP_FREE)] {
        sample.with(&SYSTEM_PAGING_USAGE, count(bytes), labels);
        sample.with(&SYSTEM_PAGING_UTILIZATION, count(bytes) / count(swap.limit), labels);
    }
}

/// Memory and swap space, if what the file says makes sense.
#[cfg(target_os = "linux")]
pub(super) fn from_meminfo(text: &[u8]) -> (Option<MemorySnapshot>, Option<SwapSnapshot>) {
    const KEYS: [&[u8]; 9] = [
        b"MemTotal:",
        b"MemFree:",
        b"MemAvailable:",
        b"Buffers:",
        b"Cached:",
        b"SReclaimable:",
        b"Shmem:",
        b"SwapTotal:",
        b"SwapFree:",
    ];
    let mut values = [None; KEYS.len()];
    for line in lines(text) {
        let mut fields = fields(line);
        let key = fields.next();
        let Some(place) = KEYS.iter().position(|known| key == Some(*known)) else { continue };
        if let (Some(kib), Some(b"kB")) = (fields.next(), fields.next()) {
            values[place] = number(kib).and_then(|kib| kib.checked_mul(1_024));
        }
    }
    let [limit, free, available, buffers, cached, reclaimable, shared, swap, swap_free] = values;
    let memory = || {
        let (limit, free, buffers) = (limit.filter(|limit| *limit > 0)?, free?, buffers?);
        // What `free` calls the cache: the pages and the part of the kernel's own caches that it would give back.
        let cached = cached?.saturating_add(reclaimable.unwrap_or(0));
        let used = limit.checked_sub(free.saturating_add(buffers).saturating_add(cached))?;
        let available = available.unwrap_or(free).min(limit);
        Some(MemorySnapshot {
            limit,
            used,
            free,
            available,
            buffers: Some(buffers),
            cached: Some(cached),
            shared,
        })
    };
    let swap = || {
        let (limit, free) = (swap.filter(|limit| *limit > 0)?, swap_free?);
        Some(SwapSnapshot { limit, used: limit.checked_sub(free)?, free })
    };
    (memory(), swap())
}

/// What was paged since the machine started.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Paging {
    faults: Option<u64>,
    major_faults: Option<u64>,
    swapped_in: Option<u64>,
    swapped_out: Option<u64>,
}

#[cfg(target_os = "linux")]
impl Paging {
    pub(super) fn from_vmstat(text: &[u8]) -> Self {
        const KEYS: [&[u8]; 4] = [b"pgfault ", b"pgmajfault ", b"pswpin ", b"pswpout "];
        let mut values = [None; KEYS.len()];
        for line in lines(text) {
            for (value, key) in values.iter_mut().zip(KEYS) {
                if let Some(rest) = line.strip_prefix(key) {
                    *value = number(rest);
                }
            }
        }
        let [faults, major_faults, swapped_in, swapped_out] = values;
        Self { faults, major_faults, swapped_in, swapped_out }
    }

    pub(super) fn emit(&self, sample: &mut Sample) {
        const MAJOR: Labels = Labels::Fixed(&[("system.paging.fault.type", "major")]);
        const MINOR: Labels = Labels::Fixed(&[("system.paging.fault.type", "minor")]);
        const IN: Labels = Labels::Fixed(&[("system.paging.direction", "in")]);
        const OUT: Labels = Labels::Fixed(&[("system.paging.direction", "out")]);
        let minor = self.faults.zip(self.major_faults).map(|(all, major)| all.saturating_sub(major));
        for (value, metric, labels) in [
            (self.major_faults, &SYSTEM_PAGING_FAULTS, &MAJOR),
            (minor, &SYSTEM_PAGING_FAULTS, &MINOR),
            (self.swapped_in, &SYSTEM_PAGING_OPERATIONS, &IN),
            (self.swapped_out, &SYSTEM_PAGING_OPERATIONS, &OUT),
        ] {
            if let Some(value) = value {
                sample.with(metric, count(value), labels);
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       24684084 kB\nMemFree:        23611012 kB\nMemAvailable:   24125512 kB\n\
        Buffers:            3572 kB\nCached:           667644 kB\nSwapCached:            0 kB\nSReclaimable:  1000 kB\n\
        Shmem:  8788 kB\nSwapTotal:  4096 kB\nSwapFree:  1024 kB\nHugePages_Total:       0\n";

    fn memory(text: &str) -> Option<MemorySnapshot> {
        from_meminfo(text.as_bytes()).0
    }

    #[test]
    fn p41_the_states_of_memory_add_up() {
        let (memory, swap) = from_meminfo(MEMINFO.as_bytes());
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
        let (memory, swap) = from_meminfo(text.as_bytes());
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
    fn p41_minor_faults_are_those_that_are_not_major() {
        let paging = Paging::from_vmstat(b"pgfault 100\npgmajfault 30\npgfault_a 1\npswpin 4\npswpout x\n");
        let mut sample = Sample::default();
        paging.emit(&mut sample);
        assert_eq!(
            sample.readings.iter().map(|reading| reading.value).collect::<Vec<_>>(),
            [30.0, 70.0, 4.0]
        );
        assert_eq!(Paging::from_vmstat(b""), Paging::default());
    }
}

//! What the files of a control group say, alike for both versions.

use std::time::Duration;

use super::place::Version;
use crate::sampler::count;
use crate::sampler::cpu_list::listed;
use crate::sampler::pressure::Pressure;
use crate::sampler::text::{Files, fields, lines, number};

/// From this size on, a limit of version 1 means that there is none: it is the largest number of pages.
const UNLIMITED: u64 = 1 << 62;

/// Reads the files of groups.
pub(super) struct Groups {
    pub(super) files: Files,
    name: String,
}

/// Processor time of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CpuTime {
    pub(super) all: Duration,
    pub(super) user: Option<Duration>,
    pub(super) system: Option<Duration>,
}

/// How often and how long a quota held a group back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Throttling {
    pub(super) periods: u64,
    pub(super) throttled: u64,
    pub(super) time: Duration,
}

/// Memory of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) usage: u64,
    /// Without file pages that were not used of late, which the kernel takes first.
    pub(super) working_set: u64,
    /// Of version 1: the smallest limit on the way up, seen or not.
    pub(super) limit_above: Option<u64>,
}

/// How often a group came to a limit of its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MemoryEvents {
    pub(super) high: Option<u64>,
    pub(super) max: Option<u64>,
    pub(super) oom: Option<u64>,
    pub(super) oom_kill: Option<u64>,
}

impl Groups {
    pub(super) fn new(files: Files) -> Self {
        Self { files, name: String::new() }
    }

    fn read(&mut self, group: &str, file: &str) -> Option<&[u8]> {
        self.name.clear();
        for part in [group, "/", file] {
            self.name.push_str(part);
        }
        self.files.read(&self.name).ok()
    }

    fn number(&mut self, group: &str, file: &str) -> Option<u64> {
        number(self.read(group, file)?.trim_ascii())
    }

    /// The processors that the quota of a group amounts to, if it has one.
    pub(super) fn quota(&mut self, version: Version, group: &str) -> Option<f64> {
        let (quota, period) = match version {
            Version::V1 => {
                // -1 for none.
                (self.number(group, "cpu.cfs_quota_us")?, self.number(group, "cpu.cfs_period_us")?)
            }
            Version::V2 => {
                let mut fields = fields(self.read(group, "cpu.max")?);
                // "max" for none.
                (number(fields.next()?)?, number(fields.next()?)?)
            }
        };
        (quota > 0 && period > 0).then(|| count(quota) / count(period))
    }

    /// How many processors the set of a group holds.
    pub(super) fn cpu_set(&mut self, version: Version, group: &str) -> Option<u64> {
        match version {
            Version::V1 => match self.read(group, "cpuset.effective_cpus").and_then(listed) {
                None => listed(self.read(group, "cpuset.cpus")?),
                effective => effective,
            },
            Version::V2 => listed(self.read(group, "cpuset.cpus.effective")?),
        }
    }

    /// Of version 2, where the throttling is in the file of the processor time.
    pub(super) fn cpu_stat(&mut self, group: &str) -> (Option<CpuTime>, Option<Throttling>) {
        let (mut all, mut time, mut throttling) = (None, CpuTime::default(), None::<Throttling>);
        for (key, value) in pairs(self.read(group, "cpu.stat").unwrap_or_default()) {
            let micros = Duration::from_micros(value);
            match key {
                b"usage_usec" => all = Some(micros),
                b"user_usec" => time.user = Some(micros),
                b"system_usec" => time.system = Some(micros),
                b"nr_periods" => throttling.get_or_insert_default().periods = value,
                b"nr_throttled" => throttling.get_or_insert_default().throttled = value,
                b"throttled_usec" => throttling.get_or_insert_default().time = micros,
                _ => {}
            }
        }
        (all.map(|all| CpuTime { all, ..time }), throttling)
    }

    /// Of version 1. What it used by mode is in two more files as well, to the nanosecond, but as the ticks of the
    /// clock found it: their sum is not what it used. In `cpuacct.stat` the kernel has made them fit.
    pub(super) fn cpu_time(&mut self, group: &str) -> Option<CpuTime> {
        let all = self.number(group, "cpuacct.usage").map(Duration::from_nanos)?;
        let mut time = CpuTime { all, ..CpuTime::default() };
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        for (key, ticks) in pairs(self.read(group, "cpuacct.stat").unwrap_or_default()) {
            let mode = match key {
                b"user" => &mut time.user,
                b"system" => &mut time.system,
                _ => continue,
            };
            let part = ticks % per_second * 1_000_000_000 / per_second;
            *mode = Some(Duration::from_secs(ticks / per_second) + Duration::from_nanos(part));
        }
        Some(time)
    }

    /// Of version 1.
    pub(super) fn throttling(&mut self, group: &str) -> Option<Throttling> {
        let mut found = None::<Throttling>;
        for (key, value) in pairs(self.read(group, "cpu.stat")?) {
            match key {
                b"nr_periods" => found.get_or_insert_default().periods = value,
                b"nr_throttled" => found.get_or_insert_default().throttled = value,
                b"throttled_time" => found.get_or_insert_default().time = Duration::from_nanos(value),
                _ => {}
            }
        }
        found
    }

    /// The limit that a group has itself. Beyond `memory.high` processes are held up until they have given memory
    /// back, which makes it a limit as well.
    pub(super) fn memory_limit(&mut self, version: Version, group: &str) -> Option<u64> {
        match version {
            Version::V1 => self.number(group, "memory.limit_in_bytes").filter(|&limit| limit < UNLIMITED),
            Version::V2 => {
                let (max, high) = (self.number(group, "memory.max"), self.number(group, "memory.high"));
                max.into_iter().chain(high).min()
            }
        }
    }

    pub(super) fn memory(&mut self, version: Version, group: &str) -> Option<Memory> {
        let (usage, inactive) = match version {
            Version::V1 => ("memory.usage_in_bytes", b"total_inactive_file".as_slice()),
            Version::V2 => ("memory.current", b"inactive_file".as_slice()),
        };
        let mut memory = Memory { usage: self.number(group, usage)?, ..Memory::default() };
        let mut unused = 0;
        for (key, value) in pairs(self.read(group, "memory.stat").unwrap_or_default()) {
            if key == inactive {
                unused = value;
            } else if key == b"hierarchical_memory_limit" && value < UNLIMITED {
                memory.limit_above = Some(value);
            }
        }
        memory.working_set = memory.usage.saturating_sub(unused);
        Some(memory)
    }

    /// Whether what a group of version 1 uses counts for the one above it.
    pub(super) fn counts_above(&mut self, version: Version, above: &str) -> bool {
        version == Version::V2 || self.number(above, "memory.use_hierarchy") != Some(0)
    }

    pub(super) fn memory_events(&mut self, version: Version, group: &str) -> MemoryEvents {
        let mut found = MemoryEvents::default();
        if version == Version::V1 {
            found.max = self.number(group, "memory.failcnt");
        }
        let file = match version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        for (key, value) in pairs(self.read(group, file).unwrap_or_default()) {
            match key {
                b"high" => found.high = Some(value),
                b"max" => found.max = Some(value),
                b"oom" => found.oom = Some(value),
                b"oom_kill" => found.oom_kill = Some(value),
                _ => {}
            }
        }
        found
    }

    pub(super) fn pressure(&mut self, group: &str, file: &str) -> Option<Pressure> {
        self.read(group, file).map(Pressure::parse)
    }
}

/// Lines of a key and a number.
fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    lines(text).filter_map(|line| {
        let mut fields = fields(line);
        Some((fields.next()?, number(fields.next()?)?))
    })
}

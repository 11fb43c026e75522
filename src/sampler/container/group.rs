//! Reads the files of a control group of either version.

use std::borrow::Cow;
use std::time::Duration;

use super::place::Version;
use crate::sampler::cpu_list::listed;
use crate::sampler::files::{Files, value};
use crate::sampler::pressure::Pressure;
use crate::sampler::probe::count;

/// In version 1, a limit of at least this size means that there is no limit: it is the largest number of pages.
const UNLIMITED: u64 = 1 << 62;

/// Reads the files of groups.
pub(super) struct Groups {
    pub(super) files: Files,
}

/// The processor time of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CpuTime {
    pub(super) all: Duration,
    pub(super) user: Option<Duration>,
    pub(super) system: Option<Duration>,
}

/// How often and how long a quota held a group back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Throttling {
    pub(super) periods: Option<u64>,
    pub(super) throttled: Option<u64>,
    pub(super) time: Option<Duration>,
}

/// The memory of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) usage: u64,
    /// Usage without inactive file pages, which the kernel frees first.
    pub(super) working_set: u64,
    /// In version 1: the smallest limit of this group and all groups around it, visible or not.
    pub(super) hierarchical_limit: Option<u64>,
}

/// The names that the files have for the events of a memory limit.
pub(super) const MEMORY_EVENTS: [&str; 4] = ["high ", "max ", "oom ", "oom_kill "];

impl Groups {
    fn read(&mut self, group: &str, file: &str) -> Option<Cow<'_, str>> {
        self.files.read(&format!("{group}/{file}")).ok()
    }

    fn number(&mut self, group: &str, file: &str) -> Option<u64> {
        self.read(group, file)?.trim_ascii().parse().ok()
    }

    /// The quota of a group as a number of processors, if it has one.
    pub(super) fn quota(&mut self, version: Version, group: &str) -> Option<f64> {
        let (quota, period): (u64, u64) = match version {
            Version::V1 => {
                // -1 means no quota.
                (self.number(group, "cpu.cfs_quota_us")?, self.number(group, "cpu.cfs_period_us")?)
            }
            Version::V2 => {
                let text = self.read(group, "cpu.max")?;
                // "max" means no quota.
                let (quota, period) = text.trim_ascii().split_once(' ')?;
                (quota.parse().ok()?, period.parse().ok()?)
            }
        };
        (quota > 0 && period > 0).then(|| count(quota) / count(period))
    }

    /// The number of processors in the set of a group.
    pub(super) fn cpu_set(&mut self, version: Version, group: &str) -> Option<u64> {
        let files: &[_] = match version {
            Version::V1 => &["cpuset.effective_cpus", "cpuset.cpus"],
            Version::V2 => &["cpuset.cpus.effective"],
        };
        files.iter().find_map(|file| listed(&self.read(group, file)?))
    }

    /// In version 2, where processor time and throttling are in one file.
    pub(super) fn cpu_stat(&mut self, group: &str) -> (Option<CpuTime>, Option<Throttling>) {
        let Some(text) = self.read(group, "cpu.stat") else { return (None, None) };
        let micros = |key| value(&text, key).map(Duration::from_micros);
        let time = micros("usage_usec ").map(|all| CpuTime {
            all,
            user: micros("user_usec "),
            system: micros("system_usec "),
        });
        (time, Throttling::of(&text, micros("throttled_usec ")))
    }

    /// In version 1. The modes are read from `cpuacct.stat`, where the kernel scales them so that they add up to the usage.
    /// Two other files have them in nanoseconds, but sampled at the ticks of the clock, so that they do not add up.
    pub(super) fn cpu_time(&mut self, group: &str) -> Option<CpuTime> {
        let all = self.number(group, "cpuacct.usage").map(Duration::from_nanos)?;
        let text = self.read(group, "cpuacct.stat").unwrap_or_default();
        let per_second = procfs::ticks_per_second().max(1);
        let time = |key| {
            let ticks = value(&text, key)?;
            let part = ticks % per_second * 1_000_000_000 / per_second;
            Some(Duration::from_secs(ticks / per_second) + Duration::from_nanos(part))
        };
        Some(CpuTime { all, user: time("user "), system: time("system ") })
    }

    /// In version 1.
    pub(super) fn throttling(&mut self, group: &str) -> Option<Throttling> {
        let text = self.read(group, "cpu.stat")?;
        Throttling::of(&text, value(&text, "throttled_time ").map(Duration::from_nanos))
    }

    /// The limit of the group itself. `memory.high` is a limit too, because the kernel throttles processes above it until
    /// they have freed memory.
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
            Version::V1 => ("memory.usage_in_bytes", "total_inactive_file "),
            Version::V2 => ("memory.current", "inactive_file "),
        };
        let usage = self.number(group, usage)?;
        let text = self.read(group, "memory.stat").unwrap_or_default();
        Some(Memory {
            usage,
            working_set: usage.saturating_sub(value(&text, inactive).unwrap_or_default()),
            hierarchical_limit: value(&text, "hierarchical_memory_limit ").filter(|&limit| limit < UNLIMITED),
        })
    }

    /// Whether the usage of a group counts for the group around it. In version 1, that is a setting.
    pub(super) fn counts_above(&mut self, version: Version, above: &str) -> bool {
        version == Version::V2 || self.number(above, "memory.use_hierarchy") != Some(0)
    }

    /// The counts of the events, in the order of [`MEMORY_EVENTS`].
    pub(super) fn memory_events(&mut self, version: Version, group: &str) -> [Option<u64>; 4] {
        let (file, failures) = match version {
            Version::V1 => ("memory.oom_control", self.number(group, "memory.failcnt")),
            Version::V2 => ("memory.events", None),
        };
        let text = self.read(group, file).unwrap_or_default();
        let mut events = MEMORY_EVENTS.map(|event| value(&text, event));
        events[1] = events[1].or(failures);
        events
    }

    pub(super) fn pressure(&mut self, group: &str, file: &str) -> Option<Pressure> {
        self.read(group, file).map(|text| Pressure::parse(&text))
    }
}

impl Throttling {
    /// `None` if the file has none of the values, as without a quota.
    fn of(stat: &str, time: Option<Duration>) -> Option<Self> {
        let (periods, throttled) = (value(stat, "nr_periods "), value(stat, "nr_throttled "));
        (periods.is_some() || throttled.is_some() || time.is_some()).then_some(Self {
            periods,
            throttled,
            time,
        })
    }
}

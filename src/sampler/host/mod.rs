//! The machine: processors, load, memory.

use std::sync::Arc;
use std::time::Duration;

use sysinfo::{CpuRefreshKind, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind, System};

use crate::clock::{self, Tick};
use crate::sampler::count;
use crate::sampler::limits::Limits;
use crate::sampler::probe::{DEADLINE, Labels, Plan, Probe, ProbeError, Sample, Watched};
use crate::sampler::snapshot::MemorySnapshot;
use crate::signal::{
    SYSTEM_CPU_COUNT, SYSTEM_CPU_UTILIZATION, SYSTEM_LOAD, SYSTEM_MEMORY_LIMIT, SYSTEM_MEMORY_USAGE,
    SYSTEM_MEMORY_UTILIZATION, SYSTEM_UPTIME,
};

mod settings;

pub use settings::SystemSettings;

/// The sources of the machine.
pub(in crate::sampler) fn plans(_settings: &SystemSettings, every: Duration, limits: &Limits) -> Vec<Plan> {
    let limits = limits.clone();
    vec![Plan {
        name: "system".into(),
        make: Arc::new(move || Box::new(Machine { limits: limits.clone(), ..Machine::default() })),
        every,
        deadline: DEADLINE,
    }]
}

/// Reads the machine; remembers what shares of processor time need.
#[derive(Default)]
pub(in crate::sampler) struct Machine {
    limits: Limits,
    system: Option<System>,
    processors: Processors,
}

/// The machine at one moment.
pub(in crate::sampler) struct MachineReading {
    pub(in crate::sampler) cpu_utilization: Option<f64>,
    pub(in crate::sampler) cpus: usize,
    /// Over 1, 5 and 15 minutes.
    pub(in crate::sampler) load: Option<[f64; 3]>,
    pub(in crate::sampler) memory: MemorySnapshot,
    pub(in crate::sampler) uptime: Option<Duration>,
}

#[derive(Default)]
enum Processors {
    #[default]
    Unread,
    /// Read once: there is no share yet.
    Since(Tick),
    Share {
        at: Tick,
        busy: f64,
    },
}

impl Machine {
    pub(in crate::sampler) fn read(&mut self) -> Result<MachineReading, ProbeError> {
        let system = match &mut self.system {
            Some(system) => system,
            empty => empty.insert(
                System::new().map_err(|error| ProbeError(format!("no system figures: {error}").into()))?,
            ),
        };
        self.processors.refresh(system, clock::now());
        let cpus = system.cpus().len();
        if cpus == 0 {
            return Err(ProbeError("no processor figures".into()));
        }
        let memory = memory(system).ok_or(ProbeError("no memory figures".into()))?;
        Ok(MachineReading {
            cpu_utilization: self.processors.busy(),
            cpus,
            // Windows has none and says zero.
            load: System::load_average()
                .ok()
                .filter(|_| cfg!(unix))
                .map(|load| [load.one, load.five, load.fifteen]),
            memory,
            uptime: System::uptime().ok().map(Duration::from_secs),
        })
    }
}

impl Processors {
    /// Reads the processors, unless the last time was so short ago that the share would be noise.
    fn refresh(&mut self, system: &mut System, now: Tick) {
        let before = match *self {
            Self::Unread => None,
            Self::Since(at) | Self::Share { at, .. } => Some(at),
        };
        if before.is_some_and(|at| now.since(at) < MINIMUM_CPU_UPDATE_INTERVAL) {
            return;
        }
        system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
        *self = match before {
            None => Self::Since(now),
            Some(_) => {
                Self::Share { at: now, busy: (f64::from(system.global_cpu_usage()) / 100.0).clamp(0.0, 1.0) }
            }
        };
    }

    fn busy(&self) -> Option<f64> {
        match *self {
            Self::Share { busy, .. } => Some(busy),
            Self::Unread | Self::Since(_) => None,
        }
    }
}

impl Probe for Machine {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let machine = self.read()?;
        if let Some(busy) = machine.cpu_utilization {
            sample.with(&SYSTEM_CPU_UTILIZATION, busy, &Labels::Fixed(&[("cpu.mode", "user")]));
            if !self.limits.cpu() {
                sample.watch_host(Watched::Cpu, None, busy);
            }
        }
        sample.value(&SYSTEM_CPU_COUNT, count(machine.cpus as u64));
        if let Some(load) = machine.load {
            for (value, period) in load.into_iter().zip(["1m", "5m", "15m"]) {
                sample.with(&SYSTEM_LOAD, value, &Labels::new([("period", period)]));
            }
        }
        let memory = &machine.memory;
        sample.value(&SYSTEM_MEMORY_LIMIT, count(memory.limit));
        for (state, bytes) in memory.by_state() {
            let labels = Labels::new([("system.memory.state", state)]);
            sample.with(&SYSTEM_MEMORY_USAGE, count(bytes), &labels);
            sample.with(&SYSTEM_MEMORY_UTILIZATION, count(bytes) / count(memory.limit), &labels);
        }
        if let Some(uptime) = machine.uptime {
            sample.value(&SYSTEM_UPTIME, uptime.as_secs_f64());
        }
        Ok(())
    }
}

/// The memory by state: on Linux with the page cache, which `sysinfo` does not tell, as its own states.
fn memory(system: &mut System) -> Option<MemorySnapshot> {
    let linux = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| from_meminfo(&text));
    let memory = linux.unwrap_or_else(|| {
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let limit = system.total_memory();
        let used = system.used_memory().min(limit);
        MemorySnapshot {
            limit,
            used,
            free: limit - used,
            available: system.available_memory(),
            buffers: None,
            cached: None,
        }
    });
    (memory.limit > 0).then_some(memory)
}

fn from_meminfo(text: &str) -> Option<MemorySnapshot> {
    let bytes = |key: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
    };
    let (limit, free, buffers) = (bytes("MemTotal")?, bytes("MemFree")?, bytes("Buffers")?);
    // What `free` calls the cache: the pages and the part of the kernel's own caches that it would give back.
    let cached = bytes("Cached")?.saturating_add(bytes("SReclaimable").unwrap_or(0));
    let used = limit.checked_sub(free.saturating_add(buffers).saturating_add(cached))?;
    Some(MemorySnapshot {
        limit,
        used,
        free,
        available: bytes("MemAvailable").unwrap_or(free),
        buffers: Some(buffers),
        cached: Some(cached),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:       24684084 kB\nMemFree:        23611012 kB\nMemAvailable:   24125512 kB\n\
        Buffers:            3572 kB\nCached:           667644 kB\nSwapCached:            0 kB\nSReclaimable:  1000 kB\n";

    #[test]
    fn the_states_of_memory_add_up() {
        let memory = from_meminfo(MEMINFO).unwrap();
        assert_eq!(memory.limit, 24_684_084 * 1_024);
        assert_eq!(memory.cached, Some(668_644 * 1_024));
        assert_eq!(memory.by_state().map(|(_, bytes)| bytes).sum::<u64>(), memory.limit);
    }

    #[test]
    fn a_meminfo_that_makes_no_sense_is_not_taken() {
        assert_eq!(from_meminfo(""), None);
        assert_eq!(from_meminfo(&MEMINFO.replace("24684084", "lots")), None);
        assert_eq!(from_meminfo(&MEMINFO.replace("24684084", "12")), None);
        assert_eq!(from_meminfo(&MEMINFO.replace("3572", "99999999999999999999")), None);
    }
}

//! The machine where there is no `/proc`: what `sysinfo` tells at little cost.

use std::time::Duration;

use sysinfo::{CpuRefreshKind, IS_SUPPORTED_SYSTEM, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind, System};

use crate::clock::{self, Tick};
use crate::sampler::count;
use crate::sampler::limits::Limits;
use crate::sampler::probe::{Probe, ProbeError, Sample};
use crate::sampler::snapshot::{MemorySnapshot, SwapSnapshot, SystemSnapshot};
use crate::signal::{SYSTEM_CPU_COUNT, SYSTEM_CPU_UTILIZATION};

/// Reads the machine; remembers what shares of processor time need.
#[derive(Default)]
pub(in crate::sampler) struct Machine {
    system: System,
    limits: Limits,
    /// When the processors were read, and which share was busy then: none at first.
    busy: Option<(Tick, Option<f64>)>,
}

impl Machine {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    pub(in crate::sampler) fn read(&mut self) -> Result<SystemSnapshot, ProbeError> {
        if !IS_SUPPORTED_SYSTEM {
            return Err(ProbeError("no figures of this operating system".into()));
        }
        let system = &mut self.system;
        let now = clock::now();
        // Read again so soon, the share would be noise.
        if self.busy.is_none_or(|(at, _)| now.since(at) >= MINIMUM_CPU_UPDATE_INTERVAL) {
            system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_cpu_usage());
            let share = (f64::from(system.global_cpu_usage()) / 100.0).clamp(0.0, 1.0);
            self.busy = Some((now, self.busy.map(|_| share)));
        }
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram().with_swap());
        let limit = system.total_memory();
        let used = system.used_memory().min(limit);
        let memory = MemorySnapshot {
            limit,
            used,
            free: limit - used,
            available: system.available_memory(),
            buffers: None,
            cached: None,
            shared: None,
        };
        let (limit, used) = (system.total_swap(), system.used_swap().min(system.total_swap()));
        Ok(SystemSnapshot {
            cpu_utilization: self.busy.and_then(|(_, share)| share),
            cpus: system.cpus().len(),
            // Windows has none and says zero.
            load: cfg!(unix).then(System::load_average).map(|load| [load.one, load.five, load.fifteen]),
            memory: (memory.limit > 0).then_some(memory),
            swap: (limit > 0).then(|| SwapSnapshot { limit, used, free: limit - used }),
            uptime: Some(Duration::from_secs(System::uptime())),
            ..SystemSnapshot::default()
        })
    }
}

impl Probe for Machine {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let machine = self.read()?;
        if let Some(busy) = machine.cpu_utilization {
            // It tells no more than that.
            sample.by(&SYSTEM_CPU_UTILIZATION, ("cpu.mode", "user"), busy);
            sample.by(&SYSTEM_CPU_UTILIZATION, ("cpu.mode", "idle"), 1.0 - busy);
        }
        sample.value(&SYSTEM_CPU_COUNT, count(machine.cpus as u64));
        machine.emit(&self.limits, sample);
        Ok(())
    }
}

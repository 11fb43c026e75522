//! Reads the machine with `sysinfo`, on systems without `/proc`.

use std::time::Duration;

use sysinfo::{CpuRefreshKind, IS_SUPPORTED_SYSTEM, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind, System};

use super::figures::Figures;
use super::memory::{Memory, Swap};
use crate::base::clock::{self, Tick};
use crate::sampler::limits::Limits;
use crate::sampler::probe::{Probe, ProbeError, Sample, count};
use crate::sampler::snapshot::SystemSnapshot;
use crate::signal::{SYSTEM_CPU_COUNT, SYSTEM_CPU_UTILIZATION};

/// Reads the machine. Keeps the last share of processor time.
#[derive(Default)]
pub(in crate::sampler) struct Machine {
    system: System,
    limits: Limits,
    /// When the processors were read, and the share that was busy; `None` for the first reading.
    busy: Option<(Tick, Option<f64>)>,
}

impl Machine {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    pub(in crate::sampler) fn read(&mut self) -> Result<SystemSnapshot, ProbeError> {
        Ok(self.figures()?.snapshot())
    }

    fn figures(&mut self) -> Result<Figures, ProbeError> {
        if !IS_SUPPORTED_SYSTEM {
            return Err("`sysinfo` does not support this operating system".into());
        }
        let system = &mut self.system;
        let now = clock::now();
        // Over a shorter time, the share would be noise.
        if self.busy.is_none_or(|(at, _)| now.since(at) >= MINIMUM_CPU_UPDATE_INTERVAL) {
            system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_cpu_usage());
            let share = (f64::from(system.global_cpu_usage()) / 100.0).clamp(0.0, 1.0);
            self.busy = Some((now, self.busy.map(|_| share)));
        }
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram().with_swap());
        let limit = Some(system.total_memory()).filter(|limit| *limit > 0);
        let used = limit.map(|limit| system.used_memory().min(limit));
        let free = limit.zip(used).map(|(limit, used)| limit - used);
        let available = limit.map(|limit| system.available_memory().min(limit));
        let swap = Some(system.total_swap()).filter(|limit| *limit > 0);
        Ok(Figures {
            busy: self.busy.and_then(|(_, share)| share),
            cpus: system.cpus().len(),
            // Windows has no load average and reports zero.
            load: if cfg!(unix) {
                let load = System::load_average();
                [load.one, load.five, load.fifteen].map(|load| Some(load).filter(|load| *load >= 0.0))
            } else {
                [None; 3]
            },
            memory: Memory { limit, used, free, available, ..Memory::default() },
            swap: Swap { limit: swap, free: swap.map(|limit| limit - system.used_swap().min(limit)) },
            uptime: Some(Duration::from_secs(System::uptime())),
            ..Figures::default()
        })
    }
}

impl Probe for Machine {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let machine = self.figures()?;
        if let Some(busy) = machine.busy {
            // `sysinfo` does not report the modes.
            sample.by(&SYSTEM_CPU_UTILIZATION, ("cpu.mode", "user"), busy);
            sample.by(&SYSTEM_CPU_UTILIZATION, ("cpu.mode", "idle"), 1.0 - busy);
        }
        sample.value(&SYSTEM_CPU_COUNT, count(machine.cpus as u64));
        machine.emit(&self.limits, sample);
        Ok(())
    }
}

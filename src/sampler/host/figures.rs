//! The figures that every operating system reports.

use std::time::Duration;

use super::memory::{Memory, Swap};
use crate::sampler::limits::Limits;
use crate::sampler::probe::{Sample, count};
use crate::sampler::snapshot::{CpuSnapshot, SystemSnapshot};
use crate::signal::{SYSTEM_LOAD, SYSTEM_UPTIME, Watched};

/// The figures that every operating system has. Each may be missing on its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// The share of all processors that was busy.
    pub(super) busy: Option<f64>,
    pub(super) cpu: Option<CpuSnapshot>,
    /// The number of logical processors; 0 if it is not known.
    pub(super) cpus: usize,
    pub(super) load: [Option<f64>; 3],
    pub(super) memory: Memory,
    pub(super) swap: Swap,
    pub(super) uptime: Option<Duration>,
}

impl Figures {
    /// Emits the values, and the figures with limits, except those that the container limits.
    pub(super) fn emit(&self, limits: &Limits, sample: &mut Sample) {
        if let Some(busy) = self.busy
            && !limits.cpu()
        {
            sample.watch_host(Watched::Cpu, None, busy);
        }
        for (period, load) in ["1m", "5m", "15m"].into_iter().zip(self.load) {
            sample.by(&SYSTEM_LOAD, ("period", period), load);
        }
        if let Some(load) = self.load[1]
            && self.cpus > 0
        {
            sample.watch_host(Watched::Load, None, load / count(self.cpus as u64));
        }
        self.memory.emit(sample);
        if let Some(memory) = self.memory.snapshot()
            && !limits.memory()
        {
            sample.watch_host(Watched::Memory, None, memory.utilization());
        }
        self.swap.emit(sample);
        sample.value(&SYSTEM_UPTIME, self.uptime.map(|uptime| uptime.as_secs_f64()));
    }

    pub(super) fn snapshot(&self) -> SystemSnapshot {
        let [one, five, fifteen] = self.load;
        SystemSnapshot {
            cpu_utilization: self.busy,
            cpu: self.cpu,
            cpus: self.cpus,
            load: one.zip(five).zip(fifteen).map(|((one, five), fifteen)| [one, five, fifteen]),
            memory: self.memory.snapshot(),
            swap: self.swap.snapshot(),
            uptime: self.uptime,
            ..SystemSnapshot::default()
        }
    }
}

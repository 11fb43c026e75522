//! The source `system`: what `/proc` tells at once, and never hangs over.

use std::path::Path;
use std::time::Duration;

use super::cpu::Processors;
use super::memory::{self, Paging};
use super::{MachineReading, emit_load};
use crate::clock;
use crate::sampler::limits::Limits;
use crate::sampler::pressure::{Pressure, PressureLabels};
use crate::sampler::probe::{Probe, ProbeError, Sample, Watched};
use crate::sampler::text::{Files, decimal, fields};
use crate::signal::SYSTEM_UPTIME;

/// Reads the machine; remembers what shares of processor time need.
#[derive(Debug)]
pub(in crate::sampler) struct Machine {
    files: Files,
    limits: Limits,
    processors: Processors,
    pressure: [Waiting; 4],
}

/// A pressure file, and the labels of what is in it.
#[derive(Debug)]
struct Waiting {
    file: &'static str,
    /// Of the whole machine, the share in which nobody at all got a processor is not defined.
    full: bool,
    labels: PressureLabels,
}

impl Default for Machine {
    fn default() -> Self {
        Self::below(Path::new(""), false, Limits::default())
    }
}

impl Machine {
    /// Reads the files below `root`.
    pub(super) fn below(root: &Path, by_core: bool, limits: Limits) -> Self {
        let waiting = |file, resource| Waiting {
            file,
            full: resource != "cpu",
            labels: PressureLabels::new("system", resource),
        };
        Self {
            files: Files::below(root),
            limits,
            processors: Processors::new(by_core),
            pressure: [
                waiting("proc/pressure/cpu", "cpu"),
                waiting("proc/pressure/io", "io"),
                waiting("proc/pressure/memory", "memory"),
                waiting("proc/pressure/irq", "irq"),
            ],
        }
    }

    pub(in crate::sampler) fn read(&mut self) -> Result<MachineReading, ProbeError> {
        let now = clock::now();
        let processors = &mut self.processors;
        let stat = self.files.read("proc/stat").is_ok_and(|stat| processors.read(stat, now));
        let (memory, swap) = self.files.read("proc/meminfo").map_or((None, None), memory::from_meminfo);
        if !stat && memory.is_none() {
            return Err(ProbeError("neither /proc/stat nor /proc/meminfo can be made out".into()));
        }
        let shares = stat.then(|| self.processors.shares()).flatten();
        Ok(MachineReading {
            cpu_utilization: shares.map(|shares| shares.busy()),
            cpu: shares,
            cpus: if stat { self.processors.online() } else { 0 },
            load: self.files.read("proc/loadavg").ok().and_then(load),
            memory,
            swap,
            uptime: self
                .files
                .read("proc/uptime")
                .ok()
                .and_then(|text| Duration::try_from_secs_f64(decimal(fields(text).next()?)?).ok()),
        })
    }
}

impl Probe for Machine {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let machine = self.read()?;
        if machine.cpus > 0 {
            self.processors.emit(sample);
        }
        if let Some(busy) = machine.cpu_utilization
            && !self.limits.cpu()
        {
            sample.watch_host(Watched::Cpu, None, busy);
        }
        emit_load(&machine, sample);
        if let Some(memory) = &machine.memory {
            memory::emit(memory, sample);
            if !self.limits.memory() {
                sample.watch_host(Watched::Memory, None, memory.utilization());
            }
        }
        if let Some(swap) = &machine.swap {
            memory::emit_swap(swap, sample);
        }
        if let Ok(vmstat) = self.files.read("proc/vmstat") {
            Paging::from_vmstat(vmstat).emit(sample);
        }
        if let Some(uptime) = machine.uptime {
            sample.value(&SYSTEM_UPTIME, uptime.as_secs_f64());
        }
        for waiting in &self.pressure {
            if let Ok(text) = self.files.read(waiting.file) {
                let mut pressure = Pressure::parse(text);
                pressure.full = pressure.full.filter(|_| waiting.full);
                pressure.emit(sample, &waiting.labels);
            }
        }
        Ok(())
    }
}

fn load(text: &[u8]) -> Option<[f64; 3]> {
    let mut fields = fields(text).map(decimal);
    Some([fields.next()??, fields.next()??, fields.next()??])
}

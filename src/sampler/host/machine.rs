//! The source `system`: what `/proc` tells at once, and never hangs over.

use std::path::Path;
use std::time::Duration;

use procfs::{FromBufRead, FromRead, LoadAverage, Uptime, VmStat};

use super::cpu::Processors;
use super::memory;
use crate::clock;
use crate::sampler::files::{Files, hundredths};
use crate::sampler::limits::Limits;
use crate::sampler::pressure::{Pressure, PressureLabels};
use crate::sampler::probe::{Probe, ProbeError, Sample};
use crate::sampler::snapshot::SystemSnapshot;

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
    /// Of the whole machine, the share in which no task at all got a processor is not defined.
    full: bool,
    labels: PressureLabels,
}

impl Default for Machine {
    fn default() -> Self {
        Self::below(Path::new("/"), false, Limits::default())
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

    pub(in crate::sampler) fn read(&mut self) -> Result<SystemSnapshot, ProbeError> {
        let now = clock::now();
        let processors = &mut self.processors;
        let stat = self.files.read("proc/stat").is_ok_and(|stat| processors.read(&stat, now));
        let (memory, swap) =
            self.files.read("proc/meminfo").map_or((None, None), |text| memory::from_meminfo(&text));
        if !stat && memory.is_none() {
            return Err(ProbeError("neither /proc/stat nor /proc/meminfo can be made out".into()));
        }
        let shares = stat.then(|| self.processors.shares()).flatten();
        Ok(SystemSnapshot {
            cpu_utilization: shares.map(|shares| shares.busy()),
            cpu: shares,
            cpus: if stat { self.processors.online } else { 0 },
            load: self.files.read("proc/loadavg").ok().and_then(|text| load(&text)),
            memory,
            swap,
            uptime: self.files.read("proc/uptime").ok().and_then(|text| {
                Duration::try_from_secs_f64(Uptime::from_read(text.as_bytes()).ok()?.uptime).ok()
            }),
            ..SystemSnapshot::default()
        })
    }
}

impl Probe for Machine {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let machine = self.read()?;
        if machine.cpus > 0 {
            self.processors.emit(sample);
        }
        machine.emit(&self.limits, sample);
        let vmstat = self.files.read("proc/vmstat");
        if let Some(vmstat) = vmstat.ok().and_then(|text| VmStat::from_buf_read(text.as_bytes()).ok()) {
            memory::emit_paging(&vmstat, sample);
        }
        for waiting in &self.pressure {
            if let Ok(text) = self.files.read(waiting.file) {
                let mut pressure = Pressure::parse(&text);
                pressure.full = pressure.full.filter(|_| waiting.full);
                pressure.emit(sample, &waiting.labels);
            }
        }
        Ok(())
    }
}

fn load(text: &str) -> Option<[f64; 3]> {
    let load = LoadAverage::from_read(text.as_bytes()).ok()?;
    Some([hundredths(load.one)?, hundredths(load.five)?, hundredths(load.fifteen)?])
}

#[cfg(test)]
mod tests {
    use super::super::recorded::{one, read, tree, write};
    use super::*;
    use crate::sampler::probe::Watched;
    use crate::signal::{SYSTEM_CPU_COUNT, SYSTEM_MEMORY_AVAILABLE, SYSTEM_MEMORY_LIMIT, SYSTEM_UPTIME};

    const STAT: &str = "cpu  100 0 0 100 0 0 0 0\ncpu0 100 0 0 100 0 0 0 0\nctxt 1\nbtime 1\nprocesses 1\n";
    const MEMINFO: &str =
        "MemTotal: 1000 kB\nMemFree: 400 kB\nMemAvailable: 700 kB\nBuffers: 100 kB\nCached: 200 kB\n";
    const FILES: [(&str, &str); 6] = [
        ("proc/stat", STAT),
        ("proc/meminfo", MEMINFO),
        ("proc/loadavg", "1.50 2.00 0.25 1/999 12345\n"),
        ("proc/uptime", "123.45 99.00\n"),
        ("proc/vmstat", "nr_free_pages 1\npgfault 10\npgmajfault 4\n"),
        (
            "proc/pressure/cpu",
            "some avg10=2.50 avg60=0 avg300=0 total=3000000\nfull avg10=1.00 avg60=0 total=7\n",
        ),
    ];

    fn watched(machine: &mut Machine) -> Vec<(Watched, f64)> {
        let mut sample = Sample::default();
        machine.sample(&mut sample).unwrap();
        sample.figures.iter().map(|figure| (figure.watched, figure.value)).collect()
    }

    #[test]
    fn p41_everything_that_proc_tells_is_there() {
        let root = tree(&FILES);
        let seen = read(&mut Machine::below(root.path(), false, Limits::default()));
        for (name, value) in [
            (SYSTEM_CPU_COUNT.name, 1.0),
            ("campanile.system.load 1m", 1.5),
            ("campanile.system.load 15m", 0.25),
            (SYSTEM_MEMORY_LIMIT.name, 1_024_000.0),
            ("system.memory.usage used", 300.0 * 1_024.0),
            ("system.memory.utilization cached", 0.2),
            (SYSTEM_MEMORY_AVAILABLE.name, 700.0 * 1_024.0),
            ("system.paging.faults minor", 6.0),
            (SYSTEM_UPTIME.name, 123.45),
            ("campanile.pressure.recent cpu system some", 0.025),
            ("campanile.pressure.time cpu system some", 3.0),
        ] {
            assert_eq!(one(&seen, name), Some(value), "{name} in {seen:?}");
        }
        assert!(
            !seen.iter().any(|(name, _)| name.contains("full") || name.contains("paging.usage")),
            "{seen:?}"
        );
    }

    #[test]
    fn p40_what_is_missing_or_malformed_leaves_the_rest() {
        for (missing, _) in FILES {
            let root = tree(&FILES);
            write(&root, missing, "\u{0}lots of nonsense\n");
            let mut machine = Machine::below(root.path(), false, Limits::default());
            assert!(read(&mut machine).len() >= 6, "{missing}");
            std::fs::remove_file(root.path().join(missing)).unwrap();
            assert!(read(&mut machine).len() >= 6, "{missing}");
        }
        let root = tree(&FILES[2..]);
        let mut machine = Machine::below(root.path(), false, Limits::default());
        assert!(machine.sample(&mut Sample::default()).is_err());
    }

    #[test]
    fn figures_are_left_to_the_container_where_it_has_limits() {
        let root = tree(&FILES);
        let limits = Limits::default();
        let mut machine = Machine::below(root.path(), false, limits.clone());
        let share = 1.0 - 700.0 / 1_000.0;
        assert_eq!(watched(&mut machine), [(Watched::Load, 2.0), (Watched::Memory, share)]);
        limits.set(true, true);
        assert_eq!(watched(&mut machine), [(Watched::Load, 2.0)]);
        limits.set(true, false);
        assert_eq!(watched(&mut machine), [(Watched::Load, 2.0), (Watched::Memory, share)]);
    }
}

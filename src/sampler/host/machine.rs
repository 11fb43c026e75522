//! The source `system`: files in `/proc` that never hang.

use std::path::Path;
use std::time::Duration;

use super::cpu::{Processors, emit_count};
use super::figures::Figures;
use super::memory::{self, Arc, Memory, Swap, paged};
use crate::base::clock::{self, Tick};
use crate::sampler::counter::{Counter, Rules};
use crate::sampler::cpu_list::count_online;
use crate::sampler::files::{Files, decimal};
use crate::sampler::limits::Limits;
use crate::sampler::pressure::{Pressure, Resource};
use crate::sampler::probe::{Failures, Part, Probe, ProbeError, Sample};
use crate::sampler::snapshot::SystemSnapshot;
use crate::signal::{SYSTEM_PAGING_FAULTS, SYSTEM_PAGING_OPERATIONS};

const STAT: Part = "/proc/stat";
const MEMINFO: Part = "/proc/meminfo";
const LOADAVG: Part = "/proc/loadavg";
const UPTIME: Part = "/proc/uptime";

/// Reads the machine. Keeps shares of processor time and counters between readings.
#[derive(Debug)]
pub(in crate::sampler) struct Machine {
    files: Files,
    limits: Limits,
    processors: Processors,
    paged: [Counter; 4],
    pressure: [Waiting; 4],
}

/// A pressure file.
#[derive(Debug)]
struct Waiting {
    file: &'static str,
    part: Part,
    /// Whether `full` is reported. For processors of the whole machine it is not defined.
    full: bool,
    resource: Resource,
}

impl Default for Machine {
    fn default() -> Self {
        Self::below(Path::new("/"), false, Limits::default())
    }
}

impl Machine {
    /// Reads the files below `root`.
    pub(super) fn below(root: &Path, by_core: bool, limits: Limits) -> Self {
        let waiting = |part: Part, resource| Waiting {
            file: part.trim_start_matches('/'),
            part,
            full: resource != "cpu",
            resource: Resource::new("system", resource),
        };
        Self {
            files: Files::below(root),
            limits,
            processors: Processors::new(by_core),
            paged: Default::default(),
            pressure: [
                waiting("/proc/pressure/cpu", "cpu"),
                waiting("/proc/pressure/io", "io"),
                waiting("/proc/pressure/memory", "memory"),
                waiting("/proc/pressure/irq", "irq"),
            ],
        }
    }

    pub(in crate::sampler) fn read(&mut self) -> Result<SystemSnapshot, ProbeError> {
        Ok(self.figures(clock::now(), &mut Failures::default()).snapshot())
    }

    fn figures(&mut self, now: Tick, failures: &mut Failures) -> Figures {
        let mut figures = Figures::default();
        let processors = &mut self.processors;
        let stat = failures.required(STAT, self.files.read("proc/stat"));
        match stat.map(|stat| processors.read(&stat, now)) {
            Some(true) => {
                figures.cpu = processors.shares();
                figures.cpus = processors.online;
            }
            Some(false) => failures.add(STAT, "the file contains no processor"),
            None => {}
        }
        if figures.cpus == 0 {
            figures.cpus = count_online(&mut self.files).and_then(|cpus| cpus.try_into().ok()).unwrap_or(0);
        }
        figures.busy = figures.cpu.map(|shares| shares.busy());
        (figures.memory, figures.swap) = self.memory(failures);
        if let Some(text) = failures.required(LOADAVG, self.files.read("proc/loadavg")) {
            figures.load = load(&text);
            if figures.load.contains(&None) {
                failures.add(LOADAVG, "the file does not contain three numbers");
            }
        }
        if let Some(text) = failures.required(UPTIME, self.files.read("proc/uptime")) {
            let seconds = text.split_ascii_whitespace().next().and_then(decimal);
            figures.uptime = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            if figures.uptime.is_none() {
                failures.add(UPTIME, "the file does not begin with a number of seconds");
            }
        }
        figures
    }

    fn memory(&mut self, failures: &mut Failures) -> (Memory, Swap) {
        let arc = self.files.read("proc/spl/kstat/zfs/arcstats").ok();
        let arc = arc.and_then(|text| Arc::from_stats(&text)).filter(|_| self.is_meminfo_of_machine());
        let Some(text) = failures.required(MEMINFO, self.files.read("proc/meminfo")) else {
            return Default::default();
        };
        let (memory, swap) = memory::from_meminfo(&text, arc);
        if memory.limit.is_none() {
            failures.add(MEMINFO, "`MemTotal` is missing or is not a number");
        } else if memory.available.is_none() {
            failures.add(MEMINFO, "`MemAvailable` and `MemFree` are missing or larger than `MemTotal`");
        } else if swap.limit.is_some() && swap.free.is_none() {
            failures.add(MEMINFO, "`SwapFree` is missing or larger than `SwapTotal`");
        }
        (memory, swap)
    }

    /// Whether `/proc/meminfo` is the file of the kernel. One that was mounted for a container does not fit the figures of
    /// ZFS, which are those of the machine.
    fn is_meminfo_of_machine(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let device = |name| std::fs::metadata(self.files.path(name)).ok().map(|found| found.dev());
        device("proc/meminfo") == device("proc/spl/kstat/zfs/arcstats")
    }

    fn paging(&mut self, now: Tick, sample: &mut Sample) {
        // Some kernels do not have it.
        let text = sample.failures.optional("/proc/vmstat", self.files.read("proc/vmstat"));
        let read = text.map(|text| paged(&text)).unwrap_or_default();
        let mut shown = [None; 4];
        for ((shown, counter), read) in shown.iter_mut().zip(&mut self.paged).zip(read) {
            *shown = read.and_then(|read| counter.take(read, now, &Rules::NARROW));
        }
        let [major, minor, read_in, written_out] = shown;
        for (kind, faults) in [("major", major), ("minor", minor)] {
            sample.by(&SYSTEM_PAGING_FAULTS, ("system.paging.fault.type", kind), faults);
        }
        for (direction, pages) in [("in", read_in), ("out", written_out)] {
            sample.by(&SYSTEM_PAGING_OPERATIONS, ("system.paging.direction", direction), pages);
        }
    }
}

impl Probe for Machine {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let now = clock::now();
        let figures = self.figures(now, &mut sample.failures);
        self.processors.emit(sample);
        emit_count(figures.cpus, sample);
        figures.emit(&self.limits, sample);
        self.paging(now, sample);
        for waiting in &mut self.pressure {
            if let Some(text) = sample.failures.optional(waiting.part, self.files.read(waiting.file)) {
                let mut pressure = Pressure::parse(&text);
                if !waiting.full {
                    pressure.full = Default::default();
                }
                waiting.resource.emit(&pressure, now, sample);
            }
        }
        if sample.readings.is_empty() {
            return Err("no file in `/proc` could be read".into());
        }
        Ok(())
    }
}

/// The first three numbers; `None` for a malformed one.
fn load(text: &str) -> [Option<f64>; 3] {
    let mut fields = text.split_ascii_whitespace();
    std::array::from_fn(|_| fields.next().and_then(decimal))
}

#[cfg(test)]
mod tests {
    use super::super::recorded::{one, read, readings, tree, write};
    use super::*;
    use crate::signal::{
        SYSTEM_CPU_COUNT, SYSTEM_MEMORY_AVAILABLE, SYSTEM_MEMORY_LIMIT, SYSTEM_UPTIME, Watched,
    };

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
    fn p41_every_file_in_proc_is_read() {
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
    fn p40_a_missing_or_malformed_file_does_not_affect_the_others() {
        for (missing, _) in FILES {
            let root = tree(&FILES);
            write(&root, missing, "\u{0}lots of nonsense\n");
            let mut machine = Machine::below(root.path(), false, Limits::default());
            assert!(read(&mut machine).len() >= 6, "{missing}");
            std::fs::remove_file(root.path().join(missing)).unwrap();
            assert!(read(&mut machine).len() >= 6, "{missing}");
        }
        let root = tree(&[]);
        let mut machine = Machine::below(root.path(), false, Limits::default());
        assert!(machine.sample(&mut Sample::default()).is_err());
    }

    #[test]
    fn figures_that_the_container_limits_are_not_watched() {
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

    #[test]
    fn p40_a_broken_file_is_named_and_does_not_affect_the_others() {
        let whole = read(&mut Machine::below(tree(&FILES).path(), true, Limits::default()));
        // Empty, cut in half, with negative or too large numbers, and with each line missing in turn.
        let spoilt = |content: &str| {
            let numbers = |with: &str| -> String {
                let words = content.split_inclusive([' ', '\n', '=']);
                let change = |word: &str| match word.trim().parse::<f64>() {
                    Ok(_) => word.replace(word.trim(), with),
                    Err(_) => word.to_owned(),
                };
                words.map(change).collect()
            };
            let mut all = vec![
                String::new(),
                "\0".to_owned(),
                content[..content.len() / 2].to_owned(),
                numbers("-7"),
                numbers("99999999999999999999999"),
                numbers("18446744073709551615"),
            ];
            let lines: Vec<_> = content.lines().collect();
            all.extend((0..lines.len()).map(|missing| {
                let left = lines.iter().enumerate().filter(|(place, _)| *place != missing);
                left.map(|(_, line)| format!("{line}\n")).collect()
            }));
            all
        };
        for (name, content) in FILES {
            for bad in spoilt(content) {
                let root = tree(&FILES);
                write(&root, name, &bad);
                let mut machine = Machine::below(root.path(), true, Limits::default());
                let mut sample = Sample::default();
                machine.sample(&mut sample).unwrap();
                let seen = readings(&sample);
                let of_file = |metric: &str| match name {
                    "proc/stat" => metric.starts_with("system.cpu.") || metric.starts_with("system.process"),
                    "proc/meminfo" => metric.starts_with("system.memory."),
                    "proc/loadavg" => metric.starts_with(crate::signal::SYSTEM_LOAD.name),
                    "proc/uptime" => metric.starts_with(SYSTEM_UPTIME.name),
                    "proc/vmstat" => metric.starts_with("system.paging."),
                    _ => metric.starts_with("campanile.pressure."),
                };
                for (metric, value) in whole.iter().filter(|(metric, _)| !of_file(metric)) {
                    assert_eq!(one(&seen, metric), Some(*value), "{metric} without {name}: {bad:?}");
                }
                for (metric, value) in &seen {
                    assert!(value.is_finite() && (0.0..1e19).contains(value), "{metric} {value}");
                }
                let essential = ["proc/stat", "proc/meminfo", "proc/loadavg", "proc/uptime"].contains(&name);
                if essential && bad.trim_matches('\0').is_empty() {
                    let named: Vec<_> = sample.failures.0.iter().map(|(part, _)| *part).collect();
                    assert_eq!(named, [format!("/{name}")], "{bad:?}");
                }
            }
        }
    }

    #[test]
    fn p40_zfs_of_another_machine_is_ignored() {
        let root = tree(&FILES);
        let stats = "name type data\nsize 4 204800\nc_min 4 0\n";
        write(&root, "proc/spl/kstat/zfs/arcstats", stats);
        let used = |root: &tempfile::TempDir| {
            one(&read(&mut Machine::below(root.path(), false, Limits::default())), "system.memory.usage used")
        };
        assert_eq!(used(&root), Some(100.0 * 1_024.0));
        // The file is on another file system, as one that was mounted for a container.
        std::fs::remove_file(root.path().join("proc/meminfo")).unwrap();
        let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
        std::fs::write(elsewhere.path().join("meminfo"), super::tests::MEMINFO).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("meminfo"), root.path().join("proc/meminfo"))
            .unwrap();
        assert_eq!(used(&root), Some(300.0 * 1_024.0));
    }
}

//! The machine: processors, memory, load, disks, file systems, network.
//!
//! Each kind is a source of its own where it may hang, fail or be missing by itself: what `/proc` tells is always
//! there, while a file system may wait for a server that is away.

#[cfg(target_os = "linux")]
mod cpu;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(any(not(target_os = "linux"), test))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod filesystem;
mod filters;
#[cfg(target_os = "linux")]
mod machine;
mod memory;
#[cfg(target_os = "linux")]
mod network;
mod settings;
#[cfg(target_os = "linux")]
mod slow;

use std::sync::Arc;
use std::time::Duration;

#[cfg(target_os = "linux")]
pub(in crate::sampler) use self::disk::Disks;
#[cfg(not(target_os = "linux"))]
pub(in crate::sampler) use self::elsewhere::Machine;
#[cfg(target_os = "linux")]
pub(in crate::sampler) use self::filesystem::FileSystems;
pub use self::filters::NameFilter;
#[cfg(target_os = "linux")]
pub(in crate::sampler) use self::machine::Machine;
use self::memory::{Memory, Swap};
#[cfg(target_os = "linux")]
pub(in crate::sampler) use self::network::Networks;
pub use self::settings::SystemSettings;
use crate::sampler::count;
use crate::sampler::limits::Limits;
use crate::sampler::probe::{DEADLINE, Plan, Probe, Sample, Watched};
use crate::sampler::snapshot::{CpuSnapshot, SystemSnapshot};
use crate::signal::{SYSTEM_LOAD, SYSTEM_UPTIME};

/// What costs more than the rest is read no more often than this.
#[cfg(target_os = "linux")]
const SLOW: Duration = Duration::from_secs(60);

/// The sources of the machine.
#[cfg(target_os = "linux")]
pub(in crate::sampler) fn plans(settings: &SystemSettings, every: Duration, limits: &Limits) -> Vec<Plan> {
    use std::path::Path;

    use self::slow::{Clocks, Processes};

    fn plan<P>(name: &'static str, every: Duration, make: impl Fn(&Path) -> P + Send + Sync + 'static) -> Plan
    where
        P: Probe + 'static,
    {
        let make = Arc::new(move || -> Box<dyn Probe> { Box::new(make(Path::new("/"))) });
        Plan { name: name.into(), make, every, deadline: DEADLINE }
    }
    let by_core = settings.by_core;
    let limits = limits.clone();
    let (disks, interfaces) = (settings.disks.clone(), settings.interfaces.clone());
    let (mount_points, types) = (settings.file_systems.clone(), settings.file_system_types.clone());
    vec![
        plan("system", every, move |root| Machine::below(root, by_core, limits.clone())),
        plan("disk", every, move |root| Disks::below(root, disks.clone())),
        plan("network", every, move |root| Networks::below(root, interfaces.clone())),
        plan("filesystem", every, move |root| FileSystems::below(root, mount_points.clone(), types.clone())),
        plan("processes", every.max(SLOW), Processes::below),
        plan("processors", every.max(SLOW), move |root| Clocks::below(root, by_core)),
    ]
}

/// The sources of the machine.
#[cfg(not(target_os = "linux"))]
pub(in crate::sampler) fn plans(_settings: &SystemSettings, every: Duration, limits: &Limits) -> Vec<Plan> {
    let limits = limits.clone();
    let make = Arc::new(move || -> Box<dyn Probe> { Box::new(Machine::new(limits.clone())) });
    vec![Plan { name: "system".into(), make, every, deadline: DEADLINE }]
}

/// What every system tells, each figure for itself.
#[derive(Clone, Debug, Default)]
struct Figures {
    /// Share of all processors that was busy.
    busy: Option<f64>,
    cpu: Option<CpuSnapshot>,
    /// Logical processors; 0 where the machine does not tell.
    cpus: usize,
    load: [Option<f64>; 3],
    memory: Memory,
    swap: Swap,
    uptime: Option<Duration>,
}

impl Figures {
    /// The values, and the figures with limits for which the container has no limits of its own.
    fn emit(&self, limits: &Limits, sample: &mut Sample) {
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

    fn snapshot(&self) -> SystemSnapshot {
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

#[cfg(all(test, target_os = "linux"))]
mod recorded {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    /// Files as a machine had them; one whose name ends with a slash is a folder.
    pub(super) fn tree(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            write(&root, name, content);
        }
        root
    }

    pub(super) fn write(root: &TempDir, name: &str, content: &str) {
        let place = root.path().join(name);
        if name.ends_with('/') {
            std::fs::create_dir_all(place).unwrap();
        } else {
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, content).unwrap();
        }
    }

    /// What a probe gives: the name of the metric, the values of its labels, and the value.
    pub(super) fn read(probe: &mut dyn Probe) -> Vec<(String, f64)> {
        let mut sample = Sample::default();
        probe.sample(&mut sample).unwrap();
        readings(&sample)
    }

    pub(super) fn readings(sample: &Sample) -> Vec<(String, f64)> {
        let name = |labels: &[(&'static str, &str)], metric: &str| {
            labels.iter().fold(metric.to_owned(), |name, (_, value)| format!("{name} {value}"))
        };
        sample
            .readings
            .iter()
            .map(|reading| (reading.labels.with(|labels| name(labels, reading.metric.name)), reading.value))
            .collect()
    }

    /// The value of that name.
    pub(super) fn one(readings: &[(String, f64)], name: &str) -> Option<f64> {
        readings.iter().find(|(found, _)| found == name).map(|(_, value)| *value)
    }

    /// The values of a label, in the order in which they come up, each once.
    pub(super) fn devices(readings: &[(String, f64)], metric: &str, place: usize) -> Vec<String> {
        let mut devices: Vec<String> = Vec::new();
        for (name, _) in readings {
            let mut parts = name.split(' ');
            if parts.next() == Some(metric)
                && let Some(device) = parts.nth(place)
                && !devices.iter().any(|known| known == device)
            {
                devices.push(device.to_owned());
            }
        }
        devices
    }

    #[test]
    fn p41_the_way_of_other_systems_tells_the_same() {
        let (mut ours, mut theirs) = (Machine::default(), elsewhere::Machine::new(Limits::default()));
        assert!(theirs.sample(&mut Sample::default()).is_ok());
        let (ours, theirs) = (ours.read().unwrap(), theirs.read().unwrap());
        assert_eq!(ours.cpus, theirs.cpus);
        assert_eq!(ours.memory.unwrap().limit, theirs.memory.unwrap().limit);
        assert_eq!(ours.swap.map(|swap| swap.limit), theirs.swap.map(|swap| swap.limit));
        assert!(ours.uptime.unwrap().abs_diff(theirs.uptime.unwrap()) < Duration::from_secs(2));
        assert!(theirs.load.unwrap().into_iter().all(f64::is_finite));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Whatever a file holds, what is read of it can be reported.
        #[test]
        fn p40_nonsense_in_a_file_is_no_panic_and_no_nonsense_in_a_value(
            file in 0..FILES.len(),
            at in any::<prop::sample::Index>(),
            nonsense in prop_oneof!["[0-9 :.,-]{0,40}", "[a-z\n ]{0,9}", "\\PC{0,9}", "18446744073709551615( [0-9]{1,20}){12}"],
        ) {
            let root = tree(&FILES);
            let (name, content) = FILES[file];
            let at = at.index(content.len() + 1);
            write(&root, name, &format!("{}{nonsense}{}", &content[..at], &content[at..]));
            let below = root.path();
            let probes: [&mut dyn Probe; 6] = [
                &mut Machine::below(below, true, Limits::default()),
                &mut Disks::below(below, NameFilter::new(["*"])),
                &mut Networks::below(below, NameFilter::new(["*"])),
                &mut FileSystems::below(below, NameFilter::default(), NameFilter::default()),
                &mut slow::Processes::below(below),
                &mut slow::Clocks::below(below, true),
            ];
            for probe in probes {
                let mut sample = Sample::default();
                for _ in 0..2 {
                    let _ = probe.sample(&mut sample);
                }
                for (name, value) in readings(&sample) {
                    prop_assert!(value.is_finite() && value >= 0.0, "{name}: {value}");
                }
            }
        }
    }

    const FILES: [(&str, &str); 12] = [
        (
            "proc/stat",
            "cpu  10 2 3 40 5 6 7 8 9 1\ncpu0 10 2 3 40 5 6 7 8 9 1\nintr 5 0\nctxt 3\nbtime 2\nprocesses 7\n",
        ),
        (
            "proc/meminfo",
            "MemTotal: 10 kB\nMemFree: 4 kB\nBuffers: 1 kB\nCached: 2 kB\nSwapTotal: 4 kB\nSwapFree: 1 kB\n",
        ),
        ("proc/loadavg", "1.50 2.00 0.25 1/999 12345\n"),
        ("proc/uptime", "123.45 99.00\n"),
        ("proc/vmstat", "pgfault 10\npgmajfault 4\npswpin 1\n"),
        ("proc/pressure/io", "some avg10=2.50 avg60=0 avg300=0 total=3000000\n"),
        ("proc/diskstats", " 8 0 sda 100 20 3000 400 500 60 7000 800 0 900 1000\n"),
        ("proc/net/dev", "head|\n eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"),
        ("proc/self/mountinfo", "31 1 259:2 / / rw shared:1 - ext4 /dev/sda2 rw\n"),
        ("proc/cpuinfo", "processor\t: 0\ncpu MHz\t: 2400.5\n"),
        ("sys/devices/system/cpu/online", "0-1\n"),
        ("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0-1\n"),
    ];
}

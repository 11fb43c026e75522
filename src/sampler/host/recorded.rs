//! Files of `/proc` and `/sys` as machines had them, for the tests of this module.

use proptest::prelude::*;
use std::time::Duration;
use tempfile::TempDir;

use super::disk::Disks;
use super::elsewhere;
use super::filesystem::FileSystems;
use super::filters::NameFilter;
use super::machine::Machine;
use super::network::Networks;
use super::slow;
use crate::sampler::limits::Limits;
use crate::sampler::probe::{Probe, Sample};

/// A folder with these files. A name that ends with a slash is a folder.
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

/// The readings of a probe: the name of the metric with the values of its labels, and the value.
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

/// The value of the reading with this name.
pub(super) fn one(readings: &[(String, f64)], name: &str) -> Option<f64> {
    readings.iter().find(|(found, _)| found == name).map(|(_, value)| *value)
}

/// The values of a label in their order, each once.
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
fn p41_both_readers_agree() {
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

    /// For any content of a file, the values that are read can be reported.
    #[test]
    fn p40_nonsense_in_a_file_causes_neither_a_panic_nor_a_nonsense_value(
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
            &mut Disks::below(below, NameFilter::new(&["*"])),
            &mut Networks::below(below, NameFilter::new(&["*"])),
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

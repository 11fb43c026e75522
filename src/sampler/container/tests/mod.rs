//! Recorded control groups, in a folder that represents the machine.

use std::fs;
use std::time::Duration;

use super::probe::Container;
use crate::sampler::files::Files;
use crate::sampler::limits::Limits;
use crate::sampler::probe::{Probe, Sample};
use crate::signal::{Metric, Watched};

mod odd;
mod version_1;
mod version_2;

const UNLIMITED: &str = "9223372036854771712";
const V2_MOUNT: &str =
    "30 24 0:26 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate\n";

struct Machine {
    root: tempfile::TempDir,
    limits: Limits,
    container: Container,
}

impl Machine {
    /// Four processors and 8 GiB.
    fn new(cgroup: &str, mountinfo: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let limits = Limits::default();
        let container = Container::new(Files::below(root.path()), limits.clone());
        let machine = Self { root, limits, container };
        machine.write("proc/self/cgroup", cgroup);
        machine.write("proc/self/mountinfo", mountinfo);
        machine.write("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:         1 kB\n");
        machine.write("sys/devices/system/cpu/online", "0-3\n");
        machine
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.root.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Writes the files of a group, each with its name and content.
    fn group(&self, folder: &str, files: &[(&str, &str)]) {
        for (name, text) in files {
            self.write(&format!("{folder}/{name}"), text);
        }
        self.write(&format!("{folder}/cgroup.procs"), "1\n");
    }

    fn v2(&self, folder: &str, files: &[(&str, &str)]) {
        self.group(folder, files);
        self.write(&format!("{folder}/cgroup.events"), "populated 1\nfrozen 0\n");
    }

    fn read(&mut self) -> Read {
        let mut sample = Sample::default();
        self.container.sample(&mut sample).unwrap();
        Read(sample)
    }
}

struct Read(Sample);

impl Read {
    /// The value of the series of `metric` whose labels have these values.
    fn get(&self, metric: &Metric, labels: &[&str]) -> Option<f64> {
        let mut found = self.0.readings.iter().filter(|reading| {
            reading.metric == metric
                && reading.labels.with(|own| own.iter().map(|(_, value)| *value).eq(labels.iter().copied()))
        });
        let value = found.next().map(|reading| reading.value);
        assert!(found.next().is_none(), "{} {labels:?} is there twice", metric.name);
        value
    }

    #[track_caller]
    fn is(&self, metric: &Metric, labels: &[&str], wanted: impl Into<Option<f64>>) {
        let (value, wanted) = (self.get(metric, labels), wanted.into());
        let close = value.zip(wanted).is_some_and(|(value, wanted)| (value - wanted).abs() < 1e-9);
        assert!(
            close || value.is_none() && wanted.is_none(),
            "{} {labels:?}: {value:?}, not {wanted:?}",
            metric.name
        );
    }

    fn watched(&self) -> Vec<(Watched, f64)> {
        self.0.figures.iter().map(|figure| (figure.watched, figure.value)).collect()
    }
}

fn cpu_stat(usage: u64, periods: u64, throttled: u64) -> String {
    format!(
        "usage_usec {usage}\nuser_usec {}\nsystem_usec {}\nnice_usec 0\nnr_periods {periods}\n\
         nr_throttled {throttled}\nthrottled_usec {}\nnr_bursts 0\nburst_usec 0\n",
        usage / 4 * 3,
        usage / 4,
        throttled * 50_000
    )
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

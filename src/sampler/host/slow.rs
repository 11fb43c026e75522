//! The sources `processes` and `processors`, which cost more than the others and change rarely. They are read once a
//! minute.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use procfs::{CpuInfo, FromBufRead};
use rustix::fs::Dir;

use crate::sampler::cpu_list::online;
use crate::sampler::files::Files;
use crate::sampler::probe::{Labels, Probe, ProbeError, Sample, count};
use crate::signal::{SYSTEM_CPU_FREQUENCY, SYSTEM_CPU_PHYSICAL_COUNT, SYSTEM_PROCESSES};

/// Counts the processes by the names in `/proc`. It opens none of them. The folder stays open.
#[derive(Debug)]
pub(in crate::sampler) struct Processes {
    proc: PathBuf,
    open: Option<Dir>,
}

impl Processes {
    pub(in crate::sampler) fn below(root: &Path) -> Self {
        Self { proc: root.join("proc"), open: None }
    }

    /// The number of processes, and whether process 1 is among them.
    fn count(&mut self) -> io::Result<(u64, bool)> {
        let mut list = match self.open.take() {
            Some(list) => list,
            None => Dir::new(File::open(&self.proc)?)?,
        };
        list.rewind();
        let (mut found, mut first) = (0, false);
        while let Some(entry) = list.read() {
            let entry = entry?;
            let name = entry.file_name().to_str().ok();
            if let Some(process) = name.and_then(|name| name.parse::<u32>().ok()) {
                found += 1;
                first |= process == 1;
            }
        }
        self.open = Some(list);
        Ok((found, first))
    }
}

impl Probe for Processes {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let (found, first) =
            self.count().map_err(|error| ProbeError(format!("cannot read /proc: {error}").into()))?;
        // If process 1 is not visible, the processes of other users are hidden, and the number says nothing.
        if first {
            sample.value(&SYSTEM_PROCESSES, count(found));
        }
        Ok(())
    }
}

/// Reads the number of processor cores and their clocks.
#[derive(Debug)]
pub(in crate::sampler) struct Clocks {
    files: Files,
    by_core: bool,
    /// The number of physical cores, for the processors that were online.
    physical: (Vec<u64>, Option<u64>),
}

impl Clocks {
    pub(in crate::sampler) fn below(root: &Path, by_core: bool) -> Self {
        Self { files: Files::below(root), by_core, physical: (Vec::new(), None) }
    }

    /// Each processor, with its clock in hertz.
    fn clocks(&mut self, online: &[u64]) -> Vec<(u64, f64)> {
        let mut clocks = Vec::new();
        for core in online {
            let file = format!("sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq");
            match self.files.number(&file) {
                Some(khz) => clocks.push((*core, count(khz) * 1e3)),
                // Without a governor, as in a virtual machine, only `/proc/cpuinfo` has the clock.
                None if clocks.is_empty() => return self.clocks_without_governor().unwrap_or_default(),
                None => {}
            }
        }
        clocks
    }

    fn clocks_without_governor(&mut self) -> Option<Vec<(u64, f64)>> {
        let info = CpuInfo::from_buf_read(self.files.read("proc/cpuinfo").ok()?.as_bytes()).ok()?;
        let clock = |place| {
            let mhz = info.get_field(place, "cpu MHz")?.parse::<f64>().ok()?;
            let core = info.get_field(place, "processor")?.parse().ok()?;
            (mhz.is_finite() && mhz >= 0.0).then_some((core, mhz * 1e6))
        };
        Some((0..info.num_cores()).filter_map(clock).collect())
    }

    /// The number of cores: processors that are the first of their siblings.
    fn physical(&mut self, online: &[u64]) -> Option<u64> {
        let mut physical = 0;
        for core in online {
            let file = format!("sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
            let siblings = self.files.read_once(&file)?;
            let first = siblings.split(|sign: char| !sign.is_ascii_digit()).next()?;
            physical += u64::from(first.parse::<u64>().ok()? == *core);
        }
        Some(physical).filter(|physical| *physical > 0)
    }
}

impl Probe for Clocks {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let online = online(&mut self.files);
        if self.physical.0 != online {
            let physical = self.physical(&online);
            self.physical = (online.clone(), physical);
        }
        sample.value(&SYSTEM_CPU_PHYSICAL_COUNT, self.physical.1.map(count));
        let clocks = self.clocks(&online);
        if self.by_core {
            for (core, hertz) in clocks {
                let labels = Labels::new([("cpu.logical_number", &*core.to_string())]);
                sample.with(&SYSTEM_CPU_FREQUENCY, hertz, &labels);
            }
        } else if !clocks.is_empty() {
            let sum: f64 = clocks.iter().map(|(_, hertz)| hertz).sum();
            sample.value(&SYSTEM_CPU_FREQUENCY, sum / count(clocks.len() as u64));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorded::{one, read, tree};
    use super::*;

    #[test]
    fn processes_are_the_names_that_are_numbers() {
        let root = tree(&[
            ("proc/1/", ""),
            ("proc/17/", ""),
            ("proc/acpi/", ""),
            ("proc/9x", ""),
            ("proc/stat", ""),
        ]);
        let mut processes = Processes::below(root.path());
        assert_eq!(read(&mut processes), [(SYSTEM_PROCESSES.name.to_owned(), 2.0)]);
        std::fs::create_dir(root.path().join("proc/99")).unwrap();
        assert_eq!(read(&mut processes), [(SYSTEM_PROCESSES.name.to_owned(), 3.0)]);
        let hidden = tree(&[("proc/17/", "")]);
        assert_eq!(read(&mut Processes::below(hidden.path())), []);
        assert!(Processes::below(&root.path().join("absent")).sample(&mut Sample::default()).is_err());
    }

    #[test]
    fn many_processes_do_not_fit_into_one_buffer() {
        let root = tree(&[]);
        for process in 1..=1_000 {
            std::fs::create_dir_all(root.path().join(format!("proc/{process}"))).unwrap();
        }
        assert_eq!(read(&mut Processes::below(root.path())), [(SYSTEM_PROCESSES.name.to_owned(), 1_000.0)]);
    }

    #[test]
    fn clocks_and_cores_of_online_processors_are_read() {
        const CPU: &str = "sys/devices/system/cpu";
        let mut files = vec![(format!("{CPU}/online"), "0-2,4\n".to_owned())];
        for (core, siblings, khz) in
            [(0, "0,2", 1_000), (1, "1", 2_000), (2, "0,2", 3_000), (3, "3-4", 9), (4, "4", 4_000)]
        {
            files.push((format!("{CPU}/cpu{core}/topology/thread_siblings_list"), format!("{siblings}\n")));
            files.push((format!("{CPU}/cpu{core}/cpufreq/scaling_cur_freq"), format!("{khz}\n")));
        }
        let root = tree(&files.iter().map(|(name, text)| (&**name, &**text)).collect::<Vec<_>>());
        let together = read(&mut Clocks::below(root.path(), false));
        assert_eq!(one(&together, SYSTEM_CPU_PHYSICAL_COUNT.name), Some(3.0));
        assert_eq!(one(&together, SYSTEM_CPU_FREQUENCY.name), Some(2_500_000.0));
        let each = read(&mut Clocks::below(root.path(), true));
        assert_eq!(one(&each, "system.cpu.frequency 4"), Some(4_000_000.0));
        assert_eq!((one(&each, "system.cpu.frequency 3"), each.len()), (None, 5));
    }

    #[test]
    fn without_a_governor_the_clock_is_read_from_cpuinfo() {
        let text = "processor\t: 0\ncpu MHz\t\t: 2400.5\n\nprocessor\t: 1\ncpu MHz\t\t: x\n";
        let root = tree(&[("sys/devices/system/cpu/online", "0-1"), ("proc/cpuinfo", text)]);
        let each = read(&mut Clocks::below(root.path(), true));
        assert_eq!(each, [("system.cpu.frequency 0".to_owned(), 2_400_500_000.0)]);
        assert_eq!(read(&mut Clocks::below(&root.path().join("absent"), true)), []);
    }
}

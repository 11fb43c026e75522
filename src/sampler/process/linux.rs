//! Reads this process with `getrusage` and from `/proc/self`.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::reading::{CpuTime, ProcessReading};
use crate::sampler::cpu_list::count_online;
use crate::sampler::files::{Files, kib, value};
use crate::sampler::probe::{Failures, Part, ProbeError};
use crate::sampler::snapshot::ProcessSnapshot;

const STATUS: Part = "/proc/self/status";

/// Reads this process.
#[derive(Default)]
pub(super) struct Reader {
    files: Files,
    /// The start of the process, as the time since the machine started.
    started: Option<Duration>,
}

impl Reader {
    pub(super) fn read(&mut self, failures: &mut Failures) -> Result<ProcessReading, ProbeError> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)
            .map_err(|error| ProbeError(format!("`getrusage` failed: {}", error.desc()).into()))?;
        let mut reading = ProcessReading {
            cpu: CpuTime { user: duration(usage.user_time()), system: Some(duration(usage.system_time())) },
            switches: [usage.voluntary_context_switches(), usage.involuntary_context_switches()].map(counted),
            faults: [usage.minor_page_faults(), usage.major_page_faults()].map(counted),
            uptime: self.uptime(failures),
            ..ProcessReading::default()
        };
        let snapshot = &mut reading.snapshot;
        snapshot.file_descriptors = file_descriptors();
        snapshot.file_descriptor_limit = getrlimit(Resource::Nofile).current;
        if let Some(status) = failures.required(STATUS, self.files.read("proc/self/status")) {
            of_status(&status, snapshot);
            if snapshot.memory.is_none() {
                failures.add(STATUS, "`VmRSS` is missing or is not a number");
            }
        }
        // Not readable in a process that may not be inspected, such as one with more privileges than its user.
        if let Some(io) = failures.optional("/proc/self/io", self.files.read("proc/self/io")) {
            snapshot.disk_read = value(&io, "read_bytes: ");
            snapshot.disk_written = value(&io, "write_bytes: ");
        }
        reading.cpus = count_online(&mut self.files);
        Ok(reading)
    }

    fn uptime(&mut self, failures: &mut Failures) -> Option<Duration> {
        if self.started.is_none() {
            let stat = failures.required("/proc/self/stat", self.files.read("proc/self/stat"));
            self.started = stat.and_then(|stat| started(&stat));
        }
        let now = Duration::try_from(clock_gettime(ClockId::Boottime)).ok()?;
        Some(now.saturating_sub(self.started?))
    }
}

fn of_status(status: &str, reading: &mut ProcessSnapshot) {
    reading.memory = kib(status, "VmRSS:");
    reading.memory_virtual = kib(status, "VmSize:");
    reading.memory_peak = kib(status, "VmHWM:");
    reading.threads = value(status, "Threads:");
}

/// The start of a process in `/proc/PID/stat`: the 20th field after the name, which may contain any characters.
fn started(stat: &str) -> Option<Duration> {
    let ticks: u64 = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(procfs::ticks_per_second().max(1));
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

/// Not with `procfs`, which also counts its own handle, and in a listing the names `.` and `..`.
fn file_descriptors() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.len() {
        // Without the descriptor of the listing itself.
        0 => fs::read_dir("/proc/self/fd").ok().map(|list| (list.count() as u64).saturating_sub(1)),
        open => Some(open),
    }
}

fn duration(time: TimeVal) -> Duration {
    Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or_default())
}

/// `None` for a negative counter, which had 32 bits and overflowed.
fn counted(count: impl TryInto<u64>) -> Option<u64> {
    count.try_into().ok()
}

#[cfg(test)]
mod tests {
    use procfs::FromBufRead;
    use procfs::process::Status;

    use super::super::other;
    use super::*;

    #[test]
    fn malformed_lines_of_a_status_do_not_affect_the_others() {
        let mut reading = ProcessSnapshot::default();
        of_status(
            "Name:\todd: VmRSS: \u{fffd}\t1 kB\nVmSize:\t  20 kB\nVmHWM:\t lots kB\nVmRSS:\t  8 kB\nThreads:\t3\nVmRSS:\t9 kB\n",
            &mut reading,
        );
        assert_eq!(
            (reading.memory_virtual, reading.memory, reading.threads),
            (Some(20_480), Some(8_192), Some(3))
        );
        assert_eq!(reading.memory_peak, None);
        of_status("", &mut reading);
        assert_eq!((reading.memory, reading.threads), (None, None));
        // The complete file of gVisor, which `procfs` rejects as incomplete.
        let gvisor = "Name:\ta\nState:\tR (running)\nTgid:\t1\nPid:\t1\nPPid:\t0\nTracerPid:\t0\nUid:\t0\t0\t0\t0\n\
            Gid:\t0\t0\t0\t0\nFDSize:\t4\nGroups:\t \nVmSize:\t20 kB\nVmRSS:\t8 kB\nVmData:\t4 kB\nThreads:\t3\n\
            CapInh:\t0\nCapPrm:\t0\nCapEff:\t0\nCapBnd:\t0\nCapAmb:\t0\nSeccomp:\t0\nMems_allowed:\t1\n";
        of_status(gvisor, &mut reading);
        assert_eq!(
            (reading.memory_virtual, reading.memory, reading.threads),
            (Some(20_480), Some(8_192), Some(3))
        );
        assert!(Status::from_buf_read(gvisor.as_bytes()).is_err());
    }

    #[test]
    fn any_name_of_a_program_can_be_read() {
        let stat =
            format!("7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 12345{}\n", " 1".repeat(16));
        let ticks = procfs::ticks_per_second();
        assert_eq!(started(&stat), Some(Duration::from_secs(12_345) / u32::try_from(ticks).unwrap()));
        assert_eq!(started("7 (a) S 1 2"), None);
        assert_eq!(started(""), None);
    }

    #[test]
    fn p41_both_readers_agree() {
        let none = &mut Failures::default();
        let ours = Reader::default().read(none).unwrap();
        let theirs = other::Reader::default().read(none).unwrap();
        assert_eq!(none, &mut Failures::default());
        let near = |a: u64, b: u64, most: u64| assert!(a.abs_diff(b) <= most, "{a} is not {b} ± {most}");
        let (mine, others) = (&ours.snapshot, &theirs.snapshot);
        near(mine.memory.unwrap(), others.memory.unwrap(), 16 << 20);
        near(mine.memory_virtual.unwrap(), others.memory_virtual.unwrap(), 512 << 20);
        near(
            ours.uptime.unwrap().as_millis().try_into().unwrap(),
            theirs.uptime.unwrap().as_millis().try_into().unwrap(),
            2_000,
        );
        let time = |reading: &ProcessReading| u64::try_from(reading.cpu.all().as_millis()).unwrap();
        near(time(&ours), time(&theirs), 500);
        assert_eq!(ours.cpus, theirs.cpus);
    }
}

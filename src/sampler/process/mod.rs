//! This process, and no other. What it is called and how it was started is not read.
//!
//! On Linux one reading is a few system calls and three small files that stay open, none of them read twice:
//!
//! | figure | source |
//! |---|---|
//! | processor time, context switches, page faults | `getrusage`: of all threads, those that ended too |
//! | memory, its peak, threads | `/proc/self/status` |
//! | bytes that disks moved | `/proc/self/io`, where it may be read; children that were waited for are in it |
//! | file descriptors | the size of `/proc/self/fd`, which is their count since Linux 6.2; a listing before |
//! | their limit | `getrlimit`, the soft one |
//! | uptime | the boot-time clock; when the process started is read once |
//!
//! `procfs` has no `getrusage`. Processor time in `/proc/self/stat` is in ticks of 10 ms, and the context switches of
//! `/proc/self/status` are those of the main thread alone: a sum over the threads would be a scan that forgets those
//! that ended.
//!
//! Elsewhere `sysinfo` tells what it can.

use std::sync::Arc;
use std::time::Duration;

use super::count;
use super::counter::{Counters, Rules};
use super::probe::{DEADLINE, Failures, Labels, Plan, Probe, ProbeError, Sample};
use super::snapshot::ProcessSnapshot;
use crate::base::clock::{self, Tick};
use crate::signal::{
    PROCESS_CONTEXT_SWITCHES, PROCESS_CPU_TIME, PROCESS_CPU_UTILIZATION, PROCESS_DISK_IO,
    PROCESS_FILE_DESCRIPTOR_LIMIT, PROCESS_FILE_DESCRIPTORS, PROCESS_MEMORY_PEAK, PROCESS_MEMORY_USAGE,
    PROCESS_MEMORY_VIRTUAL, PROCESS_PAGING_FAULTS, PROCESS_THREADS, PROCESS_UPTIME,
};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(not(target_os = "linux"), test))]
mod other;

#[cfg(target_os = "linux")]
use linux::Reader;
#[cfg(not(target_os = "linux"))]
use other::Reader;

/// The kernel divides processor time into modes by where it is at each tick of its clock; over less than this, a
/// share is noise.
const SHORTEST: Duration = Duration::from_millis(200);

pub(super) fn plan(every: Duration) -> Plan {
    Plan { name: "process".into(), make: Arc::new(|| Box::new(Own::default())), every, deadline: DEADLINE }
}

/// Reads this process; remembers what its share of processor time needs.
#[derive(Default)]
pub(super) struct Own {
    reader: Reader,
    before: Option<(Tick, CpuTime)>,
    share: Option<Share>,
    counters: Counters,
}

/// This process at one moment. `None` is what this system does not tell.
#[derive(Default)]
pub(super) struct OwnReading {
    pub(super) snapshot: ProcessSnapshot,
    pub(super) cpu: CpuTime,
    /// Processors of the machine that are online.
    pub(super) cpus: Option<u64>,
    /// Times that a thread left a processor: of its own accord, and not.
    pub(super) switches: [Option<u64>; 2],
    /// Page faults: minor and major.
    pub(super) faults: [Option<u64>; 2],
    pub(super) uptime: Option<Duration>,
}

/// Processor time since the process started.
#[derive(Clone, Copy, Default)]
pub(super) struct CpuTime {
    pub(super) user: Duration,
    /// `None` where the system does not tell the two apart: then all of it is in `user`.
    pub(super) system: Option<Duration>,
}

/// Share of all processors of the machine, in 0..=1.
#[derive(Clone, Copy)]
pub(super) struct Share {
    pub(super) user: f64,
    pub(super) system: Option<f64>,
}

impl Own {
    pub(super) fn read(&mut self, failures: &mut Failures) -> Result<OwnReading, ProbeError> {
        let mut reading = self.reader.read(failures)?;
        let now = clock::now();
        match self.before {
            Some((then, _)) if now.since(then) < SHORTEST => {}
            Some((then, before)) => {
                self.share =
                    reading.cpus.map(|cpus| Share::between(before, reading.cpu, now.since(then), cpus));
                self.before = Some((now, reading.cpu));
            }
            None => self.before = Some((now, reading.cpu)),
        }
        reading.snapshot.cpu_time = reading.cpu.all();
        reading.snapshot.cpu_utilization = self.share.map(Share::all);
        reading.snapshot.uptime = reading.uptime;
        Ok(reading)
    }
}

impl CpuTime {
    pub(super) fn all(self) -> Duration {
        self.user + self.system.unwrap_or_default()
    }
}

impl Share {
    fn between(before: CpuTime, now: CpuTime, passed: Duration, cpus: u64) -> Self {
        let possible = passed.as_secs_f64() * count(cpus);
        // What the kernel moves from one mode to the other may make one go backwards.
        let share = |before: Duration, now: Duration| {
            (now.saturating_sub(before).as_secs_f64() / possible).clamp(0.0, 1.0)
        };
        Self {
            user: share(before.user, now.user),
            system: before.system.zip(now.system).map(|(before, now)| share(before, now)),
        }
    }

    pub(super) fn all(self) -> f64 {
        (self.user + self.system.unwrap_or_default()).min(1.0)
    }
}

impl Probe for Own {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let own = self.read(&mut sample.failures)?;
        let of = &own.snapshot;
        let seconds = |time: Duration| time.as_secs_f64();
        let now = clock::now();
        let mut counted = |metric, read: Option<f64>, labels: &Labels, sample: &mut Sample| {
            let shown = self.counters.take(metric, read, labels, now, &Rules::WIDE);
            sample.with(metric, shown, labels);
        };
        // Without a mode where the system does not tell them apart.
        let user = |system: Option<f64>| system.map_or(Labels::None, |_| Labels::One("cpu.mode", "user"));
        let system = Labels::One("cpu.mode", "system");
        let in_system = own.cpu.system.map(seconds);
        counted(&PROCESS_CPU_TIME, Some(seconds(own.cpu.user)), &user(in_system), sample);
        counted(&PROCESS_CPU_TIME, in_system, &system, sample);
        for (direction, bytes) in [("read", of.disk_read), ("write", of.disk_written)] {
            let labels = Labels::One("disk.io.direction", direction);
            counted(&PROCESS_DISK_IO, bytes.map(count), &labels, sample);
        }
        for (kind, switches) in ["voluntary", "involuntary"].into_iter().zip(own.switches) {
            let labels = Labels::One("process.context_switch.type", kind);
            counted(&PROCESS_CONTEXT_SWITCHES, switches.map(count), &labels, sample);
        }
        for (kind, faults) in ["minor", "major"].into_iter().zip(own.faults) {
            let labels = Labels::One("system.paging.fault.type", kind);
            counted(&PROCESS_PAGING_FAULTS, faults.map(count), &labels, sample);
        }
        if let Some(share) = self.share {
            sample.with(&PROCESS_CPU_UTILIZATION, share.user, &user(share.system));
            sample.with(&PROCESS_CPU_UTILIZATION, share.system, &system);
        }
        sample.value(&PROCESS_MEMORY_USAGE, of.memory.map(count));
        sample.value(&PROCESS_MEMORY_VIRTUAL, of.memory_virtual.map(count));
        sample.value(&PROCESS_MEMORY_PEAK, of.memory_peak.map(count));
        sample.value(&PROCESS_THREADS, of.threads.map(count));
        sample.value(&PROCESS_FILE_DESCRIPTORS, of.file_descriptors.map(count));
        sample.value(&PROCESS_FILE_DESCRIPTOR_LIMIT, of.file_descriptor_limit.map(count));
        sample.value(&PROCESS_UPTIME, own.uptime.map(seconds));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_all_processors_and_never_negative() {
        let time = |user, system| CpuTime {
            user: Duration::from_millis(user),
            system: Some(Duration::from_millis(system)),
        };
        let share = Share::between(time(1_000, 500), time(3_000, 400), Duration::from_secs(2), 4);
        assert_eq!((share.user, share.system), (0.25, Some(0.0)));
        assert_eq!(share.all(), 0.25);
        let share = Share::between(time(0, 0), time(9_000, 9_000), Duration::from_secs(1), 2);
        assert_eq!((share.user, share.system, share.all()), (1.0, Some(1.0), 1.0));
    }
}

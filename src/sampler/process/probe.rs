//! The source `process`.

use std::sync::Arc;
use std::time::Duration;

#[cfg(target_os = "linux")]
use super::linux::Reader;
#[cfg(not(target_os = "linux"))]
use super::other::Reader;
use super::reading::{CpuTime, ProcessReading};
use crate::base::clock::{self, Tick};
use crate::sampler::counter::{Counters, Rules};
use crate::sampler::probe::{DEADLINE, Failures, Labels, Plan, Probe, ProbeError, Sample, count};
use crate::signal::{
    PROCESS_CONTEXT_SWITCHES, PROCESS_CPU_TIME, PROCESS_CPU_UTILIZATION, PROCESS_DISK_IO,
    PROCESS_FILE_DESCRIPTOR_LIMIT, PROCESS_FILE_DESCRIPTORS, PROCESS_MEMORY_PEAK, PROCESS_MEMORY_USAGE,
    PROCESS_MEMORY_VIRTUAL, PROCESS_PAGING_FAULTS, PROCESS_THREADS, PROCESS_UPTIME,
};

/// The kernel samples the mode of a processor at each tick of its clock. Over a shorter time than this, a share is noise.
const SHORTEST: Duration = Duration::from_millis(200);

pub(in crate::sampler) fn plan(every: Duration) -> Plan {
    Plan {
        name: "process".into(),
        make: Arc::new(|| Box::new(Process::default())),
        every,
        deadline: DEADLINE,
    }
}

/// Reads this process. Keeps the last reading for the share of processor time.
#[derive(Default)]
pub(in crate::sampler) struct Process {
    reader: Reader,
    before: Option<(Tick, CpuTime)>,
    share: Option<Share>,
    counters: Counters,
}

/// The share of all processors of the machine, in 0..=1.
#[derive(Clone, Copy)]
struct Share {
    user: f64,
    system: Option<f64>,
}

impl Process {
    pub(in crate::sampler) fn read(&mut self, failures: &mut Failures) -> Result<ProcessReading, ProbeError> {
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

impl Share {
    fn between(before: CpuTime, now: CpuTime, passed: Duration, cpus: u64) -> Self {
        let possible = passed.as_secs_f64() * count(cpus);
        // The kernel may move time from one mode to the other, so that one of them falls.
        let share = |before: Duration, now: Duration| {
            (now.saturating_sub(before).as_secs_f64() / possible).clamp(0.0, 1.0)
        };
        Self {
            user: share(before.user, now.user),
            system: before.system.zip(now.system).map(|(before, now)| share(before, now)),
        }
    }

    fn all(self) -> f64 {
        (self.user + self.system.unwrap_or_default()).min(1.0)
    }
}

impl Probe for Process {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        let process = self.read(&mut sample.failures)?;
        let of = &process.snapshot;
        let seconds = |time: Duration| time.as_secs_f64();
        let now = clock::now();
        let mut counted = |metric, read: Option<f64>, labels: &Labels, sample: &mut Sample| {
            let shown = self.counters.take(metric, read, labels, now, &Rules::WIDE);
            sample.with(metric, shown, labels);
        };
        // Without a mode if the system does not report the modes.
        let user = |system: Option<f64>| system.map_or(Labels::None, |_| Labels::One("cpu.mode", "user"));
        let system = Labels::One("cpu.mode", "system");
        let in_system = process.cpu.system.map(seconds);
        counted(&PROCESS_CPU_TIME, Some(seconds(process.cpu.user)), &user(in_system), sample);
        counted(&PROCESS_CPU_TIME, in_system, &system, sample);
        for (direction, bytes) in [("read", of.disk_read), ("write", of.disk_written)] {
            let labels = Labels::One("disk.io.direction", direction);
            counted(&PROCESS_DISK_IO, bytes.map(count), &labels, sample);
        }
        for (kind, switches) in ["voluntary", "involuntary"].into_iter().zip(process.switches) {
            let labels = Labels::One("process.context_switch.type", kind);
            counted(&PROCESS_CONTEXT_SWITCHES, switches.map(count), &labels, sample);
        }
        for (kind, faults) in ["minor", "major"].into_iter().zip(process.faults) {
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
        sample.value(&PROCESS_UPTIME, process.uptime.map(seconds));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_relative_to_all_processors_and_never_negative() {
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

//! This process by `getrusage` and `/proc/self`.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{RLIM_INFINITY, Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::time::{ClockId, clock_gettime};

use super::{CpuTime, Faults, OwnReading, Switches};
use crate::sampler::cpu_list::listed;
use crate::sampler::probe::ProbeError;
use crate::sampler::text::{Files, fields, lines, number};

/// Reads this process.
#[derive(Default)]
pub(super) struct Reader {
    files: Files,
    /// When it started, after the machine did.
    started: Option<Duration>,
}

impl Reader {
    pub(super) fn read(&mut self) -> Result<OwnReading, ProbeError> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)
            .map_err(|error| ProbeError(format!("getrusage: {}", error.desc()).into()))?;
        let mut reading = OwnReading {
            cpu: CpuTime { user: duration(usage.user_time()), system: Some(duration(usage.system_time())) },
            switches: both(usage.voluntary_context_switches(), usage.involuntary_context_switches())
                .map(|(voluntary, involuntary)| Switches { voluntary, involuntary }),
            faults: both(usage.minor_page_faults(), usage.major_page_faults())
                .map(|(minor, major)| Faults { minor, major }),
            file_descriptors: file_descriptors(),
            file_descriptor_limit: getrlimit(Resource::RLIMIT_NOFILE)
                .ok()
                .map(|(soft, _)| soft)
                .filter(|&soft| soft != RLIM_INFINITY),
            uptime: self.uptime(),
            ..OwnReading::default()
        };
        let status = self
            .files
            .read("proc/self/status")
            .map_err(|error| ProbeError(format!("/proc/self/status: {error}").into()))?;
        of_status(status, &mut reading);
        // Closed to a process that may not be inspected, such as one with rights that its user does not have.
        if let Ok(io) = self.files.read("proc/self/io") {
            reading.disk_read = value(io, "read_bytes:");
            reading.disk_written = value(io, "write_bytes:");
        }
        reading.cpus = self.files.read("sys/devices/system/cpu/online").ok().and_then(listed);
        Ok(reading)
    }

    fn uptime(&mut self) -> Option<Duration> {
        if self.started.is_none() {
            self.started = self.files.read("proc/self/stat").ok().and_then(started);
        }
        let now = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?);
        Some(now.saturating_sub(self.started?))
    }
}

fn of_status(status: &[u8], reading: &mut OwnReading) {
    for line in lines(status) {
        let mut fields = fields(line);
        let Some(key) = fields.next() else { continue };
        let value = fields.next().and_then(number);
        // The only unit there is.
        let bytes = value.filter(|_| fields.next() == Some(b"kB")).and_then(|kib| kib.checked_mul(1_024));
        match key {
            b"VmRSS:" => reading.memory = bytes.unwrap_or_default(),
            b"VmSize:" => reading.memory_virtual = bytes.unwrap_or_default(),
            b"VmHWM:" => reading.memory_peak = bytes,
            b"Threads:" => {
                reading.threads = value;
                break;
            }
            _ => {}
        }
    }
}

/// The number behind `key` at the start of a line.
fn value(text: &[u8], key: &str) -> Option<u64> {
    lines(text).find_map(|line| number(line.strip_prefix(key.as_bytes())?.trim_ascii()))
}

/// When a process started, in `/proc/PID/stat`; its name there may hold blanks and brackets.
fn started(stat: &[u8]) -> Option<Duration> {
    let name_ends = memchr::memrchr(b')', stat)?;
    let ticks = number(fields(stat.get(name_ends + 1..)?).nth(19)?)?;
    let per_second = rustix::param::clock_ticks_per_second();
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(per_second.max(1));
    Some(Duration::from_nanos(u64::try_from(nanos).ok()?))
}

fn file_descriptors() -> Option<u64> {
    match fs::metadata("/proc/self/fd").ok()?.len() {
        // The one that the listing itself needs is not counted.
        0 => fs::read_dir("/proc/self/fd").ok().map(|list| (list.count() as u64).saturating_sub(1)),
        open => Some(open),
    }
}

fn duration(time: TimeVal) -> Duration {
    Duration::from_micros(u64::try_from(time.num_microseconds()).unwrap_or_default())
}

/// Counters of the kernel are not negative, unless they are of 32 bits and ran over.
fn both<N: TryInto<u64>>(first: N, second: N) -> Option<(u64, u64)> {
    Some((first.try_into().ok()?, second.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::other;
    use super::*;

    #[test]
    fn a_status_is_read_as_far_as_it_goes() {
        let mut reading = OwnReading::default();
        of_status(
            b"Name:\todd: VmRSS: \xff\t1 kB\nVmSize:\t  20 kB\nVmHWM:\t lots kB\nVmRSS:\t  8 kB\nThreads:\t3\nVmRSS:\t9 kB\n",
            &mut reading,
        );
        assert_eq!((reading.memory_virtual, reading.memory, reading.threads), (20_480, 8_192, Some(3)));
        assert_eq!(reading.memory_peak, None);
        of_status(b"", &mut reading);
    }

    #[test]
    fn the_name_of_a_program_does_not_lead_astray() {
        let stat = b"7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 12345 1 2 3\n";
        let ticks = rustix::param::clock_ticks_per_second();
        assert_eq!(started(stat), Some(Duration::from_secs(12_345) / u32::try_from(ticks).unwrap()));
        assert_eq!(started(b"7 (a) S 1 2"), None);
        assert_eq!(started(b""), None);
    }

    #[test]
    fn p41_the_way_of_other_systems_tells_the_same() {
        let (ours, theirs) = (Reader::default().read().unwrap(), other::Reader::default().read().unwrap());
        let near = |a: u64, b: u64, most: u64| assert!(a.abs_diff(b) <= most, "{a} is not {b} ± {most}");
        near(ours.memory, theirs.memory, 16 << 20);
        near(ours.memory_virtual, theirs.memory_virtual, 512 << 20);
        near(
            ours.uptime.unwrap().as_millis().try_into().unwrap(),
            theirs.uptime.unwrap().as_millis().try_into().unwrap(),
            2_000,
        );
        let time = |reading: &OwnReading| u64::try_from(reading.cpu.all().as_millis()).unwrap();
        near(time(&ours), time(&theirs), 500);
        assert_eq!(ours.cpus, theirs.cpus);
    }
}

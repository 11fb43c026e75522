//! The machine and this process, asked for by hand.

use std::time::Duration;

use serde::Serialize;

use super::host::Machine;
use super::process::{Own, Share};
use crate::sync::Mutex;

/// The machine and this process at one moment; needs neither pipeline nor sampler.
///
/// # Example
/// ```
/// use campanile::sampler::SystemSnapshot;
///
/// let snapshot = SystemSnapshot::now();
/// if let Some(memory) = &snapshot.memory {
///     println!("{} of {} bytes are in use", memory.used, memory.limit);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SystemSnapshot {
    /// Share of all processors that was busy, in 0..=1, since an earlier snapshot: `None` in the first one of
    /// the process, and the share of that one when it is not 200 ms old.
    pub cpu_utilization: Option<f64>,
    /// Number of logical processors; 0 when the machine does not tell.
    pub cpus: usize,
    /// Load average over 1, 5 and 15 minutes, where the operating system has it.
    pub load: Option<[f64; 3]>,
    /// The memory of the machine.
    pub memory: Option<MemorySnapshot>,
    /// Time since the machine started.
    #[serde(serialize_with = "seconds")]
    pub uptime: Option<Duration>,
    /// This process.
    pub process: Option<ProcessSnapshot>,
}

/// The memory of the machine, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MemorySnapshot {
    /// All of it.
    pub limit: u64,
    /// In use, caches not counted where they are known.
    pub used: u64,
    /// Not used for anything.
    pub free: u64,
    /// What could be had without swapping.
    pub available: u64,
    /// Buffers of block devices (Linux).
    pub buffers: Option<u64>,
    /// Page cache and reclaimable slabs (Linux).
    pub cached: Option<u64>,
}

/// This process.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProcessSnapshot {
    /// Processor time used since it started, all threads.
    #[serde(serialize_with = "seconds_of")]
    pub cpu_time: Duration,
    /// Share of all processors that it used, in 0..=1, since an earlier snapshot; as
    /// [`SystemSnapshot::cpu_utilization`].
    pub cpu_utilization: Option<f64>,
    /// Resident memory in bytes.
    pub memory: u64,
    /// Virtual memory in bytes.
    pub memory_virtual: u64,
    /// The most resident memory that it ever had, in bytes (Linux).
    pub memory_peak: Option<u64>,
    /// Bytes that it made disks read, where the system tells.
    pub disk_read: Option<u64>,
    /// Bytes that it made disks write, where the system tells.
    pub disk_written: Option<u64>,
    /// Its threads (Linux).
    pub threads: Option<u64>,
    /// The file descriptors that it has open (Linux).
    pub file_descriptors: Option<u64>,
    /// The file descriptors that it may have open (Linux).
    pub file_descriptor_limit: Option<u64>,
    /// Time since it started.
    #[serde(serialize_with = "seconds_of")]
    pub uptime: Duration,
}

static READERS: Mutex<Option<(Machine, Own)>> = Mutex::new(None);

impl SystemSnapshot {
    /// Reads the machine and this process now: a few system calls.
    ///
    /// A share of processor time needs two readings. The process keeps the last one, so every call gives the
    /// share since the call before it, whoever made that; the first call gives none. What cannot be read is
    /// `None`.
    #[must_use]
    pub fn now() -> Self {
        let mut readers = READERS.lock();
        let (machine, own) = readers.get_or_insert_default();
        let process = own.read().ok().map(|own| ProcessSnapshot {
            cpu_time: own.cpu.all(),
            cpu_utilization: own.share.map(Share::all),
            memory: own.memory,
            memory_virtual: own.memory_virtual,
            memory_peak: own.memory_peak,
            disk_read: own.disk_read,
            disk_written: own.disk_written,
            threads: own.threads,
            file_descriptors: own.file_descriptors,
            file_descriptor_limit: own.file_descriptor_limit,
            uptime: own.uptime.unwrap_or_default(),
        });
        match machine.read() {
            Ok(machine) => Self {
                cpu_utilization: machine.cpu_utilization,
                cpus: machine.cpus,
                load: machine.load,
                memory: Some(machine.memory),
                uptime: machine.uptime,
                process,
            },
            Err(_) => {
                Self { cpu_utilization: None, cpus: 0, load: None, memory: None, uptime: None, process }
            }
        }
    }
}

impl MemorySnapshot {
    /// The states that add up to the whole, by their name in the conventions.
    pub(super) fn by_state(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("used", Some(self.used)),
            ("free", Some(self.free)),
            ("buffers", self.buffers),
            ("cached", self.cached),
        ]
        .into_iter()
        .filter_map(|(state, bytes)| Some((state, bytes?)))
    }
}

#[allow(clippy::ref_option)] // The signature that serde calls.
fn seconds<S: serde::Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs_f64()).serialize(serializer)
}

fn seconds_of<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

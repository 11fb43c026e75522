//! The machine and this process at one moment.

use std::time::Duration;

use serde::Serialize;

use super::probe::count;

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
/// for file_system in &snapshot.file_systems {
///     println!("{} has {} bytes left", file_system.mount_point, file_system.free);
/// }
/// println!("{}", serde_json::to_string(&snapshot).unwrap());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SystemSnapshot {
    /// Share of all processors that was busy, in 0..=1, since an earlier snapshot: `None` in the first one of
    /// the process, and the share of that one when it is not 200 ms old.
    pub cpu_utilization: Option<f64>,
    /// What they did in that time (Linux).
    pub cpu: Option<CpuSnapshot>,
    /// Number of logical processors; 0 when the machine does not tell.
    pub cpus: usize,
    /// Load average over 1, 5 and 15 minutes, where the operating system has it.
    pub load: Option<[f64; 3]>,
    /// The memory of the machine.
    pub memory: Option<MemorySnapshot>,
    /// The swap space, if there is any.
    pub swap: Option<SwapSnapshot>,
    /// The disks together (Linux): those that the sampler reports by default.
    pub disks: Option<DiskSnapshot>,
    /// The file systems on local disks (Linux).
    pub file_systems: Vec<FileSystemSnapshot>,
    /// The network interfaces together (Linux): those that the sampler reports by default.
    pub network: Option<NetworkSnapshot>,
    /// Time since the machine started.
    #[serde(serialize_with = "seconds")]
    pub uptime: Option<Duration>,
    /// This process.
    pub process: Option<ProcessSnapshot>,
}

/// What the processors did: shares of the time of all of them, which add up to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CpuSnapshot {
    /// Programs, and those inside virtual machines of this one.
    pub user: f64,
    /// Programs that were told to be nice.
    pub nice: f64,
    /// The kernel.
    pub system: f64,
    /// Nothing.
    pub idle: f64,
    /// Nothing, while a disk was waited for.
    pub iowait: f64,
    /// The kernel, for interrupts.
    pub interrupt: f64,
    /// Ready to run, while the host ran another virtual machine.
    pub steal: f64,
}

/// The memory of the machine, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MemorySnapshot {
    /// All of it.
    pub limit: u64,
    /// In use: what is not available. On Linux that is `MemTotal` − `MemAvailable`, as `free` of procps 4 shows it, without
    /// what ZFS would give back of its cache.
    pub used: u64,
    /// Not used for anything; `None` where the machine does not tell.
    pub free: Option<u64>,
    /// What could be had without swapping.
    pub available: u64,
    /// Buffers of block devices (Linux).
    pub buffers: Option<u64>,
    /// Caches that would be given back (Linux): the rest of what is available. `free` also counts shared memory here.
    pub cached: Option<u64>,
    /// Of the page cache, that of shared and temporary files (Linux).
    pub shared: Option<u64>,
}

/// The swap space of the machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SwapSnapshot {
    /// All of it.
    pub limit: u64,
    /// In use.
    pub used: u64,
    /// Not in use.
    pub free: u64,
}

/// Disks together, since the machine started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DiskSnapshot {
    /// How many there are.
    pub disks: usize,
    /// Bytes read.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
    /// Reads completed.
    pub reads: u64,
    /// Writes completed.
    pub writes: u64,
}

/// A file system and its space in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FileSystemSnapshot {
    /// Where it is mounted.
    pub mount_point: String,
    /// What is mounted: `/dev/sda1`.
    pub device: String,
    /// Its type: `ext4`.
    pub kind: String,
    /// Whether nothing can be written.
    pub read_only: bool,
    /// All of it.
    pub limit: u64,
    /// In use.
    pub used: u64,
    /// What those without privileges may have; the rest is kept for the superuser.
    pub free: u64,
}

/// Network interfaces together, since each came up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NetworkSnapshot {
    /// How many there are.
    pub interfaces: usize,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Packets received and sent.
    pub packets: u64,
    /// Errors in both directions.
    pub errors: u64,
    /// Packets dropped in both directions.
    pub dropped: u64,
}

/// This process.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProcessSnapshot {
    /// Processor time used since it started, all threads.
    #[serde(serialize_with = "seconds_of")]
    pub cpu_time: Duration,
    /// Share of all processors that it used, in 0..=1, since an earlier snapshot; as
    /// [`SystemSnapshot::cpu_utilization`].
    pub cpu_utilization: Option<f64>,
    /// Resident memory in bytes; `None` where the system does not tell.
    pub memory: Option<u64>,
    /// Virtual memory in bytes; `None` where the system does not tell.
    pub memory_virtual: Option<u64>,
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
    /// Time since it started; `None` where the system does not tell.
    #[serde(serialize_with = "seconds")]
    pub uptime: Option<Duration>,
}

impl CpuSnapshot {
    /// The share in which they did anything at all: neither idle nor waiting for a disk.
    #[must_use]
    pub fn busy(&self) -> f64 {
        (1.0 - self.idle - self.iowait).clamp(0.0, 1.0)
    }
}

impl MemorySnapshot {
    /// The share that could not be had any more, in 0..=1: caches that would be given back count as free.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        if self.limit == 0 { 0.0 } else { (1.0 - count(self.available) / count(self.limit)).clamp(0.0, 1.0) }
    }
}

impl FileSystemSnapshot {
    /// The share in use, in 0..=1, of what those without privileges may have: what `df` shows.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        let all = self.used.saturating_add(self.free);
        if all == 0 { 0.0 } else { count(self.used) / count(all) }
    }
}

#[allow(clippy::ref_option)] // The signature that serde calls.
fn seconds<S: serde::Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| duration.as_secs_f64()).serialize(serializer)
}

fn seconds_of<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

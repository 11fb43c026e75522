//! The machine and this process at one moment.

use std::time::Duration;

use serde::Serialize;

use super::probe::count;

/// The machine and this process at one moment. It needs neither a pipeline nor a sampler.
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
    /// The share of all processors that was busy since the previous snapshot, in 0..=1. `None` in the first snapshot of
    /// the process. If the previous snapshot is less than 200 ms old, the share of that snapshot.
    pub cpu_utilization: Option<f64>,
    /// The time of the processors by mode since the previous snapshot (Linux).
    pub cpu: Option<CpuSnapshot>,
    /// The number of logical processors; 0 if it is not known.
    pub cpus: usize,
    /// The load average over 1, 5 and 15 minutes, where the operating system has one.
    pub load: Option<[f64; 3]>,
    /// The memory of the machine.
    pub memory: Option<MemorySnapshot>,
    /// The swap space, if there is any.
    pub swap: Option<SwapSnapshot>,
    /// The sum of the disks that the sampler reports by default (Linux).
    pub disks: Option<DiskSnapshot>,
    /// The file systems on local disks (Linux).
    pub file_systems: Vec<FileSystemSnapshot>,
    /// The sum of the network interfaces that the sampler reports by default (Linux).
    pub network: Option<NetworkSnapshot>,
    /// The time since the machine started.
    #[serde(serialize_with = "seconds")]
    pub uptime: Option<Duration>,
    /// This process.
    pub process: Option<ProcessSnapshot>,
}

/// The time of all processors by mode. The shares add up to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CpuSnapshot {
    /// Programs, including virtual machines that run on this machine.
    pub user: f64,
    /// Programs with a low priority (`nice`).
    pub nice: f64,
    /// The kernel.
    pub system: f64,
    /// Idle.
    pub idle: f64,
    /// Idle while a task waited for a disk.
    pub iowait: f64,
    /// Interrupts.
    pub interrupt: f64,
    /// Ready to run, while the host ran another virtual machine.
    pub steal: f64,
}

/// The memory of the machine, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MemorySnapshot {
    /// The memory of the machine.
    pub limit: u64,
    /// Memory in use: all that is not available. On Linux it is `MemTotal` − `MemAvailable`, as `free` of procps 4 shows
    /// it, without the part of its cache that ZFS can free.
    pub used: u64,
    /// Memory that is not used for anything; `None` if it is not known.
    pub free: Option<u64>,
    /// Memory that programs can get without swapping.
    pub available: u64,
    /// Buffers of block devices (Linux).
    pub buffers: Option<u64>,
    /// Caches that the kernel can free (Linux): the rest of the available memory. `free` also counts shared memory here.
    pub cached: Option<u64>,
    /// The part of the page cache that holds shared and temporary files (Linux).
    pub shared: Option<u64>,
}

/// The swap space of the machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SwapSnapshot {
    /// The size of the swap space.
    pub limit: u64,
    /// Swap space in use.
    pub used: u64,
    /// Swap space that is not in use.
    pub free: u64,
}

/// The sum of several disks, since the machine started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DiskSnapshot {
    /// The number of disks.
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
    /// The path at which it is mounted.
    pub mount_point: String,
    /// The mounted device, such as `/dev/sda1`.
    pub device: String,
    /// The type, such as `ext4`.
    pub kind: String,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// The size.
    pub limit: u64,
    /// Space in use.
    pub used: u64,
    /// Free space for unprivileged users. The rest is reserved for the superuser.
    pub free: u64,
}

/// The sum of several network interfaces, since each came up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NetworkSnapshot {
    /// The number of interfaces.
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
    /// Processor time of all its threads since it started.
    #[serde(serialize_with = "seconds_of")]
    pub cpu_time: Duration,
    /// The share of all processors that it used since the previous snapshot, in 0..=1: see
    /// [`SystemSnapshot::cpu_utilization`].
    pub cpu_utilization: Option<f64>,
    /// Resident memory in bytes; `None` if it is not known.
    pub memory: Option<u64>,
    /// Virtual memory in bytes; `None` if it is not known.
    pub memory_virtual: Option<u64>,
    /// The highest resident memory since it started, in bytes (Linux).
    pub memory_peak: Option<u64>,
    /// Bytes that it read from disks; `None` if it is not known.
    pub disk_read: Option<u64>,
    /// Bytes that it wrote to disks; `None` if it is not known.
    pub disk_written: Option<u64>,
    /// The number of its threads (Linux).
    pub threads: Option<u64>,
    /// The number of its open file descriptors (Linux).
    pub file_descriptors: Option<u64>,
    /// The limit of open file descriptors (Linux).
    pub file_descriptor_limit: Option<u64>,
    /// The time since it started; `None` if it is not known.
    #[serde(serialize_with = "seconds")]
    pub uptime: Option<Duration>,
}

impl CpuSnapshot {
    /// The share of time in which the processors were neither idle nor waiting for a disk.
    #[must_use]
    pub fn busy(&self) -> f64 {
        (1.0 - self.idle - self.iowait).clamp(0.0, 1.0)
    }
}

impl MemorySnapshot {
    /// The share of the memory that is not available, in 0..=1. Caches that the kernel can free count as available.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        if self.limit == 0 { 0.0 } else { (1.0 - count(self.available) / count(self.limit)).clamp(0.0, 1.0) }
    }
}

impl FileSystemSnapshot {
    /// The share in use, in 0..=1, of the space for unprivileged users, as `df` shows it.
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

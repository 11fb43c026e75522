//! The machine and this process, read in the background.
//!
//! Collecting metrics must not wait for `/proc` or a driver: a callback that hangs stalls the export of
//! everything else. So a thread of its own reads each source at its interval and leaves the values behind;
//! collecting only picks them up. What is older than three intervals is not reported: no value is better than
//! one that pretends to be fresh.
//!
//! A source that fails, panics or hangs does not stop the others: a thread that it holds up for 50 ms is left
//! behind with it, and another takes over. The failure is logged once, the source is tried again after a growing
//! delay, and comes back by itself.
//!
//! Sources of one interval are read one after the other at the same moments, so that a rhythm of 10 s wakes one thread
//! to read and one to watch it in 10 s, whatever the number of sources. Those moments are moved by one draw of chance
//! for each sampler: processes that were started together do not read together.
//!
//! No value carries a command line, an environment value or the name of another process.
//!
//! # Example
//! ```
//! use campanile::sampler::{Sampler, SamplerSettings};
//!
//! let sampler = Sampler::from_settings(&SamplerSettings::default())?;
//! // ... the life of the process ...
//! drop(sampler); // stops at once
//! # Ok::<(), campanile::ConfigError>(())
//! ```

#[cfg(feature = "system")]
mod allocator;
mod builder;
#[cfg(all(feature = "system", target_os = "linux"))]
mod container;
mod counter;
#[cfg(all(feature = "system", target_os = "linux"))]
mod cpu_list;
#[cfg(all(feature = "system", target_os = "linux"))]
mod files;
#[cfg(feature = "gpu")]
mod gpu;
#[cfg(feature = "system")]
mod host;
mod latest;
#[cfg(feature = "system")]
mod limits;
#[cfg(all(feature = "system", target_os = "linux"))]
mod mounts;
#[cfg(all(feature = "system", target_os = "linux"))]
mod pressure;
mod probe;
#[cfg(feature = "system")]
mod process;
#[cfg(feature = "system")]
mod read_now;
#[cfg(feature = "system")]
mod runtime;
mod schedule;
mod settings;
#[cfg(feature = "system")]
mod snapshot;
mod thresholds;

#[cfg(feature = "system")]
pub use allocator::AllocatorStats;
pub use builder::{Sampler, SamplerBuilder};
#[cfg(feature = "gpu")]
pub use gpu::{GpuClocks, GpuDevice, GpuMemory, GpuSettings, GpuSnapshot, GpuState};
#[cfg(feature = "system")]
pub use host::SystemSettings;
pub use settings::SamplerSettings;
pub(crate) use settings::check_interval;
#[cfg(feature = "system")]
pub use snapshot::{
    CpuSnapshot, DiskSnapshot, FileSystemSnapshot, MemorySnapshot, NetworkSnapshot, ProcessSnapshot,
    SwapSnapshot, SystemSnapshot,
};
pub use thresholds::{Threshold, Thresholds};

//! The machine and this process, read in the background.
//!
//! To read the code, start with `builder.rs`, which makes the list of sources; `probe.rs` defines what a source is.
//! `schedule` reads the sources on its threads, and `latest.rs` keeps their last values for the collection of metrics. The
//! sources are in `host`, `container`, `process`, `runtime`, `gpu`, `allocator.rs` and `collector.rs`. `thresholds` compares figures with
//! their limits.
//!
//! The collection of metrics must not wait for `/proc` or a driver, because a callback that hangs stalls the export of
//! all metrics. So background threads read each source at its interval and store the values, and the collection takes the
//! stored values. A value that is older than three intervals is not reported.
//!
//! A source that fails, panics or hangs does not stop the others. If a source keeps its thread busy for 50 ms, another
//! thread reads the other sources. A failure is logged once, and the source is read again after a growing delay.
//!
//! Sources with the same interval are read one after the other at the same moments. With an interval of 10 s, one
//! thread wakes to read and one wakes to watch it, once every 10 s, for any number of sources. Each sampler shifts
//! these moments by a random offset, so that processes that were started together do not read together.
//!
//! No value contains a command line, an environment variable or the name of another process.
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
mod collector;
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
mod measurement;
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
pub use measurement::Measurement;
#[cfg(all(feature = "system", feature = "worker"))]
pub(crate) use process::resident_memory;
pub use settings::SamplerSettings;
pub(crate) use settings::check_interval;
#[cfg(feature = "system")]
pub use snapshot::{
    CpuSnapshot, DiskSnapshot, FileSystemSnapshot, MemorySnapshot, NetworkSnapshot, ProcessSnapshot,
    SwapSnapshot, SystemSnapshot,
};
pub use thresholds::{Threshold, Thresholds};

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
//! let sampling = Sampler::start(SamplerSettings::default())?;
//! // ... the life of the process ...
//! drop(sampling); // stops at once
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
mod runtime;
mod schedule;
mod settings;
#[cfg(feature = "system")]
mod snapshot;
mod thresholds;

use std::sync::Arc;

use crate::base::error::ConfigError;

#[cfg(feature = "system")]
pub use self::allocator::AllocatorStats;
pub use self::builder::SamplerBuilder;
#[cfg(feature = "gpu")]
pub use self::gpu::{GpuClocks, GpuDevice, GpuMemory, GpuSettings, GpuSnapshot, GpuState};
#[cfg(feature = "system")]
pub use self::host::{NameFilter, SystemSettings};
use self::latest::Latest;
use self::schedule::Running;
pub use self::settings::SamplerSettings;
pub(crate) use self::settings::check_interval;
#[cfg(feature = "system")]
pub use self::snapshot::{
    CpuSnapshot, DiskSnapshot, FileSystemSnapshot, MemorySnapshot, NetworkSnapshot, ProcessSnapshot,
    SwapSnapshot, SystemSnapshot,
};
pub use self::thresholds::{Threshold, Thresholds};

/// Starts the background reading: see the [module](self).
#[derive(Debug)]
#[non_exhaustive]
pub struct Sampler;

impl Sampler {
    /// Starts to read every source that the settings name.
    ///
    /// The first values are there at once, shares of processor time half a second later. The Tokio runtime that
    /// this is called in, if any, is one of the sources.
    ///
    /// # Errors
    /// When a setting is out of range, or when the operating system refuses a thread.
    pub fn start(settings: SamplerSettings) -> Result<SamplerGuard, ConfigError> {
        Self::builder(settings).start()
    }

    /// For what settings cannot hold: other runtimes, an allocator.
    pub fn builder(settings: SamplerSettings) -> SamplerBuilder {
        SamplerBuilder::new(settings)
    }
}

/// Keeps the background reading going; dropping it stops the threads and takes their values away.
///
/// The drop waits for the threads, which end at once. A source that hangs keeps its thread until it answers: after
/// 50 ms the drop no longer waits for it.
#[derive(Debug)]
#[must_use = "dropping the guard stops the sampler"]
pub struct SamplerGuard {
    // Stops first: nothing writes to values that are gone.
    _running: Running,
    _latest: Arc<Latest>,
}

/// A count or a number of bytes as a metric's value.
#[allow(clippy::cast_precision_loss)] // Exact up to 8 PiB.
fn count(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::probe::Sample;
    use super::*;
    use crate::signal::Kind;

    #[test]
    fn p42_attributes_are_those_of_the_table() {
        for plan in Sampler::builder(SamplerSettings::default()).plans() {
            let mut sample = Sample::default();
            // Not every machine has every source.
            let _ = (plan.make)().sample(&mut sample);
            for reading in sample.readings {
                assert_ne!(reading.metric.kind, Kind::Histogram, "{}", reading.metric.name);
                assert!(reading.value.is_finite() && reading.value >= 0.0, "{reading:?}");
                reading.labels.with(|labels| {
                    for (key, _) in labels {
                        assert!(reading.metric.attributes.contains(key), "{reading:?}");
                    }
                });
            }
        }
    }
}

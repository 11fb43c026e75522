use std::sync::Arc;

#[cfg(feature = "system")]
use super::allocator::{AllocatorStats, Allocators};
use super::latest::Latest;
use super::probe::Plan;
#[cfg(feature = "system")]
use super::runtime::Runtimes;
use super::schedule::Running;
use super::{SamplerGuard, SamplerSettings};
use crate::base::error::ConfigError;
use crate::signal;

/// A sampler that is about to start; see [`Sampler::builder`](super::Sampler::builder).
#[derive(Debug)]
#[must_use = "nothing is read before `start`"]
pub struct SamplerBuilder {
    settings: SamplerSettings,
    #[cfg(feature = "system")]
    allocators: Allocators,
    #[cfg(feature = "system")]
    runtimes: Runtimes,
}

impl SamplerBuilder {
    pub(super) fn new(settings: SamplerSettings) -> Self {
        Self {
            settings,
            #[cfg(feature = "system")]
            allocators: Allocators::default(),
            #[cfg(feature = "system")]
            runtimes: Runtimes::default(),
        }
    }

    /// Reads this Tokio runtime too, under this name, until it is shut down.
    ///
    /// The one that [`start`](Self::start) is called in needs no call; its name is `main`, unless it is given
    /// another one here or another runtime is given that name. The handle keeps no runtime alive.
    ///
    /// # Example
    /// ```
    /// use campanile::sampler::{Sampler, SamplerSettings};
    ///
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let reports = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    /// let sampling = Sampler::builder(SamplerSettings::default())
    ///     .runtime("reports", reports.handle().clone())
    ///     .start()?;
    /// # drop(sampling);
    /// # reports.shutdown_background();
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "system")]
    #[cfg_attr(docsrs, doc(cfg(feature = "system")))]
    pub fn runtime(mut self, name: &str, runtime: tokio::runtime::Handle) -> Self {
        self.runtimes.add(name, runtime);
        self
    }

    /// Reads the allocator of this program too, at the interval of the sampler; the name is an attribute.
    ///
    /// `ask` is called on the sampler's threads. `None` says that there is nothing to tell now; when it panics or
    /// hangs it is a source that fails, and no more. In a pipeline this goes into
    /// [`sampler_with`](crate::telemetry::TelemetryBuilder::sampler_with).
    ///
    /// # Examples
    /// jemalloc, by `tikv-jemallocator` with its feature `stats` and `tikv-jemalloc-ctl`:
    /// ```ignore
    /// use campanile::sampler::{AllocatorStats, Sampler, SamplerSettings};
    /// use tikv_jemalloc_ctl::{epoch, stats};
    ///
    /// #[global_allocator]
    /// static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
    ///
    /// let sampling = Sampler::builder(SamplerSettings::default())
    ///     .allocator("jemalloc", || {
    ///         // Its figures are those of when this was called last.
    ///         epoch::advance().ok()?;
    ///         let mut read = AllocatorStats::default();
    ///         read.allocated = stats::allocated::read().ok().map(|bytes| bytes as u64);
    ///         read.active = stats::active::read().ok().map(|bytes| bytes as u64);
    ///         read.resident = stats::resident::read().ok().map(|bytes| bytes as u64);
    ///         read.mapped = stats::mapped::read().ok().map(|bytes| bytes as u64);
    ///         read.retained = stats::retained::read().ok().map(|bytes| bytes as u64);
    ///         Some(read)
    ///     })
    ///     .start()?;
    /// ```
    /// mimalloc, by `libmimalloc-sys` with its feature `extended`:
    /// ```ignore
    /// .allocator("mimalloc", || {
    ///     let (none, mut committed) = (std::ptr::null_mut(), 0);
    ///     // SAFETY: it writes one number, to a place that is there for as long as it runs.
    ///     unsafe {
    ///         libmimalloc_sys::mi_process_info(none, none, none, none, none, &mut committed, none, none);
    ///     }
    ///     let mut read = AllocatorStats::default();
    ///     read.mapped = Some(committed as u64);
    ///     Some(read)
    /// })
    /// ```
    /// Or what counts itself:
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use campanile::sampler::{AllocatorStats, Sampler, SamplerSettings};
    ///
    /// static ALLOCATED: AtomicU64 = AtomicU64::new(0);
    ///
    /// let sampling = Sampler::builder(SamplerSettings::default())
    ///     .allocator("arena", || {
    ///         let mut read = AllocatorStats::default();
    ///         read.allocated = Some(ALLOCATED.load(Ordering::Relaxed));
    ///         Some(read)
    ///     })
    ///     .start()?;
    /// # drop(sampling);
    /// # Ok::<(), campanile::ConfigError>(())
    /// ```
    #[cfg(feature = "system")]
    #[cfg_attr(docsrs, doc(cfg(feature = "system")))]
    pub fn allocator(
        mut self,
        name: &str,
        ask: impl Fn() -> Option<AllocatorStats> + Send + Sync + 'static,
    ) -> Self {
        self.allocators.add(name, ask);
        self
    }

    /// Starts to read.
    ///
    /// # Errors
    /// When a setting is out of range, two runtimes or two allocators have one name, or the operating system refuses a thread.
    pub fn start(self) -> Result<SamplerGuard, ConfigError> {
        self.settings.validate()?;
        #[cfg(feature = "system")]
        self.allocators.validate()?;
        #[cfg(feature = "system")]
        self.runtimes.validate()?;
        let plans = self.plans();
        let latest = Arc::new(Latest::new(
            plans.iter().map(|plan| (plan.name.clone(), plan.every)),
            self.settings.thresholds,
        ));
        signal::register(&latest);
        let running = Running::start(plans, &latest).map_err(|error| {
            ConfigError::new("sampler", "started", format!("the operating system refused a thread: {error}"))
        })?;
        Ok(SamplerGuard { _running: running, _latest: latest })
    }

    /// Every source and when it is read.
    pub(super) fn plans(&self) -> Vec<Plan> {
        let mut plans = Vec::new();
        #[cfg(feature = "system")]
        if let Some(system) = &self.settings.system {
            let every = system.every.unwrap_or(self.settings.every);
            let limits = super::limits::Limits::default();
            // First, so that the machine's figures are watched from the start only where no limit is in force.
            #[cfg(target_os = "linux")]
            plans.push(super::container::plan(every, &limits));
            plans.extend(super::host::plans(system, every, &limits));
            plans.push(super::process::plan(every));
            plans.extend(super::runtime::plan(&self.runtimes, every));
            plans.retain(|plan: &Plan| system.reads(&plan.name));
        }
        #[cfg(feature = "system")]
        plans.extend(self.allocators.plans(self.settings.every));
        #[cfg(feature = "gpu")]
        if let Some(gpu) = &self.settings.gpu {
            plans.extend(super::gpu::plans(gpu, self.settings.every));
        }
        plans
    }
}

#[cfg(all(test, feature = "system"))]
mod tests {
    use super::*;
    use crate::sampler::{NameFilter, Sampler, SystemSettings};

    #[test]
    fn only_the_sources_that_are_wanted_are_read() {
        let read = |patterns: &[&str]| {
            let sources = NameFilter::new(patterns.iter().copied());
            let settings = SamplerSettings {
                system: Some(SystemSettings { sources, ..SystemSettings::default() }),
                #[cfg(feature = "gpu")]
                gpu: None,
                ..SamplerSettings::default()
            };
            let plans = Sampler::builder(settings).plans();
            plans.into_iter().map(|plan| plan.name.into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(read(&["!*", "process"]), ["process"]);
        let (all, some) = (read(&[]), read(&["!system"]));
        assert_eq!(some, all.iter().filter(|name| *name != "system").cloned().collect::<Vec<_>>());
        assert_eq!(some.len() + 1, all.len());
    }
}

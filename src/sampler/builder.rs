//! The sampler and its builder.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "system")]
use super::allocator::{AllocatorStats, Allocators};
use super::collector::Collectors;
use super::latest::Latest;
use super::measurement::Measurement;
use super::probe::Plan;
#[cfg(feature = "system")]
use super::runtime::Runtimes;
use super::schedule::Running;
use super::settings::SamplerSettings;
use crate::base::error::ConfigError;
use crate::signal;

/// A running sampler: see the [module](super). Dropping it stops its threads and removes their values.
///
/// The drop waits for the threads, which end at once. A source that hangs keeps its thread until it answers: after
/// 50 ms the drop no longer waits for it.
#[derive(Debug)]
#[must_use = "dropping the sampler stops it"]
pub struct Sampler {
    // Stops first: no thread writes to values that are gone.
    _running: Running,
    _latest: Arc<Latest>,
}

impl Sampler {
    /// Starts to read every source that the settings name.
    ///
    /// The first values are there at once, shares of processor time half a second later. The Tokio runtime in which this
    /// is called, if any, is one of the sources.
    ///
    /// # Errors
    /// If a setting is out of range, or if the operating system refuses a thread.
    pub fn from_settings(settings: &SamplerSettings) -> Result<Self, ConfigError> {
        Self::builder().settings(settings.clone()).build()
    }

    /// Starts to read one collector, until the result is dropped: for what a program measures while a pipeline runs already.
    /// See [`SamplerBuilder::collector`].
    ///
    /// Each such sampler has threads of its own, two while all is well. Collectors that are known from the start share
    /// those of one sampler.
    ///
    /// # Errors
    /// As [`SamplerBuilder::build`].
    ///
    /// # Example
    /// ```
    /// use campanile::sampler::{Measurement, Sampler};
    /// use std::time::Duration;
    ///
    /// # fn cached() -> f64 { 7.0 }
    /// let every = Duration::from_secs(10);
    /// let entries = Sampler::collector("cache", every, || [Measurement::gauge("shop.cache.entries", cached())])?;
    /// // … the life of the cache …
    /// drop(entries);
    /// # Ok::<(), campanile::ConfigError>(())
    /// ```
    pub fn collector<M>(
        name: &str,
        every: Duration,
        collect: impl Fn() -> M + Send + Sync + 'static,
    ) -> Result<Self, ConfigError>
    where
        M: IntoIterator<Item = Measurement>,
    {
        Self::builder().settings(SamplerSettings::nothing()).collector(name, every, collect).build()
    }

    /// A builder, for what settings cannot hold: other Tokio runtimes, an allocator, and collectors.
    pub fn builder() -> SamplerBuilder {
        SamplerBuilder::default()
    }
}

/// Builds a [`Sampler`].
#[derive(Debug, Default)]
#[must_use = "nothing is read before `build`"]
pub struct SamplerBuilder {
    settings: SamplerSettings,
    collectors: Collectors,
    #[cfg(feature = "system")]
    allocators: Allocators,
    #[cfg(feature = "system")]
    runtimes: Runtimes,
}

impl SamplerBuilder {
    /// Sets the settings. Default: [`SamplerSettings::default`].
    pub fn settings(mut self, settings: SamplerSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Reads another Tokio runtime under this name, until it is shut down.
    ///
    /// The runtime in which [`build`](Self::build) is called is read without this call, under the name `main`. Call this to
    /// give it another name. It is not read if another runtime is given the name `main`. The handle does not keep the
    /// runtime alive.
    ///
    /// # Example
    /// ```
    /// use campanile::sampler::Sampler;
    ///
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let reports = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    /// let sampler = Sampler::builder()
    ///     .runtime("reports", reports.handle().clone())
    ///     .build()?;
    /// # drop(sampler);
    /// # reports.shutdown_background();
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "system")]
    #[cfg_attr(docsrs, doc(cfg(feature = "system")))]
    pub fn runtime(mut self, name: &str, runtime: tokio::runtime::Handle) -> Self {
        self.runtimes.add(name, runtime);
        self
    }

    /// Reads the allocator of this program at the interval of the sampler. `name` is an attribute of the metrics.
    ///
    /// `read` is called on the threads of the sampler. It returns `None` if there are no values now. If it panics or hangs,
    /// this source fails and the others are read. With a pipeline, call this in
    /// [`sampler_with`](crate::telemetry::TelemetryBuilder::sampler_with).
    ///
    /// # Examples
    /// jemalloc, by `tikv-jemallocator` with its feature `stats` and `tikv-jemalloc-ctl`:
    /// ```ignore
    /// use campanile::sampler::{AllocatorStats, Sampler};
    /// use tikv_jemalloc_ctl::{epoch, stats};
    ///
    /// #[global_allocator]
    /// static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
    ///
    /// let sampler = Sampler::builder()
    ///     .allocator("jemalloc", || {
    ///         // Updates the statistics, which are cached.
    ///         epoch::advance().ok()?;
    ///         let mut read = AllocatorStats::default();
    ///         read.allocated = stats::allocated::read().ok().map(|bytes| bytes as u64);
    ///         read.active = stats::active::read().ok().map(|bytes| bytes as u64);
    ///         read.resident = stats::resident::read().ok().map(|bytes| bytes as u64);
    ///         read.mapped = stats::mapped::read().ok().map(|bytes| bytes as u64);
    ///         read.retained = stats::retained::read().ok().map(|bytes| bytes as u64);
    ///         Some(read)
    ///     })
    ///     .build()?;
    /// ```
    /// mimalloc, by `libmimalloc-sys` with its feature `extended`:
    /// ```ignore
    /// .allocator("mimalloc", || {
    ///     let (none, mut committed) = (std::ptr::null_mut(), 0);
    ///     // SAFETY: it writes one number, to a variable that outlives the call.
    ///     unsafe {
    ///         libmimalloc_sys::mi_process_info(none, none, none, none, none, &mut committed, none, none);
    ///     }
    ///     let mut read = AllocatorStats::default();
    ///     read.mapped = Some(committed as u64);
    ///     Some(read)
    /// })
    /// ```
    /// An arena that counts its own memory:
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use campanile::sampler::{AllocatorStats, Sampler};
    ///
    /// static ALLOCATED: AtomicU64 = AtomicU64::new(0);
    ///
    /// let sampler = Sampler::builder()
    ///     .allocator("arena", || {
    ///         let mut read = AllocatorStats::default();
    ///         read.allocated = Some(ALLOCATED.load(Ordering::Relaxed));
    ///         Some(read)
    ///     })
    ///     .build()?;
    /// # drop(sampler);
    /// # Ok::<(), campanile::ConfigError>(())
    /// ```
    #[cfg(feature = "system")]
    #[cfg_attr(docsrs, doc(cfg(feature = "system")))]
    pub fn allocator(
        mut self,
        name: &str,
        read: impl Fn() -> Option<AllocatorStats> + Send + Sync + 'static,
    ) -> Self {
        self.allocators.add(name, read);
        self
    }

    /// Reads metrics of the program: calls `collect` at this interval, from 100 ms to one hour. `name` is that of the source
    /// in `campanile.sampler.failures` and others, and of the component whose health the limits of its measurements change.
    ///
    /// `collect` is called on the threads of the sampler, so it may take its time. If it panics or takes longer than five
    /// seconds, this source fails and the others are read. A series that it does not return any more is not reported any
    /// more.
    ///
    /// A collector has at most 1,000 series with 256 KiB of attributes, and all collectors of a process 256 metrics. What
    /// exceeds that, or has an invalid name, kind, unit, value or limit, is left out. Each such reading is counted in
    /// `campanile.sampler.failures` with what was wrong as `part`, and the first one is logged with the reason.
    ///
    /// With a pipeline, call this in [`sampler_with`](crate::telemetry::TelemetryBuilder::sampler_with), or use
    /// [`Sampler::collector`] while it runs.
    ///
    /// # Example
    /// ```
    /// use campanile::sampler::{Measurement, Sampler};
    /// use std::time::Duration;
    ///
    /// # fn waiting(queue: &str) -> f64 { 17.0 }
    /// let sampler = Sampler::builder()
    ///     .collector("queues", Duration::from_secs(10), || {
    ///         ["mail", "invoices"].map(|queue| {
    ///             Measurement::gauge("shop.queue.depth", waiting(queue))
    ///                 .unit("{job}")
    ///                 .attribute("queue", queue)
    ///                 .limits(1_000.0, 5_000.0)
    ///         })
    ///     })
    ///     .build()?;
    /// # drop(sampler);
    /// # Ok::<(), campanile::ConfigError>(())
    /// ```
    pub fn collector<M>(
        mut self,
        name: &str,
        every: Duration,
        collect: impl Fn() -> M + Send + Sync + 'static,
    ) -> Self
    where
        M: IntoIterator<Item = Measurement>,
    {
        self.collectors.add(name, every, collect);
        self
    }

    /// Starts the sampler.
    ///
    /// # Errors
    /// If a setting is out of range, if two runtimes, two allocators or two collectors have the same name, or if the
    /// operating system refuses a thread.
    pub fn build(self) -> Result<Sampler, ConfigError> {
        self.settings.validate()?;
        self.collectors.validate()?;
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
            ConfigError::because(
                "sampler",
                "started",
                format!("the operating system did not start the thread `campanile-sampler` ({error})"),
            )
        })?;
        Ok(Sampler { _running: running, _latest: latest })
    }

    /// Every source and its interval.
    fn plans(&self) -> Vec<Plan> {
        let mut plans = Vec::new();
        #[cfg(feature = "system")]
        if let Some(system) = &self.settings.system {
            let every = system.every.unwrap_or(self.settings.every);
            let limits = super::limits::Limits::default();
            // First, so that it knows the limits of the container before the machine is read.
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
        plans.extend(self.collectors.plans());
        plans
    }
}

#[cfg(all(test, feature = "system"))]
mod tests {
    use super::*;
    use crate::sampler::SystemSettings;

    #[test]
    fn only_the_sources_in_the_settings_are_read() {
        let read = |patterns: &[&str]| {
            let sources = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
            let settings = SamplerSettings {
                system: Some(SystemSettings { sources, ..SystemSettings::default() }),
                #[cfg(feature = "gpu")]
                gpu: None,
                ..SamplerSettings::default()
            };
            let plans = Sampler::builder().settings(settings).plans();
            plans.into_iter().map(|plan| plan.name.into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(read(&["!*", "process"]), ["process"]);
        let (all, some) = (read(&[]), read(&["!system"]));
        assert_eq!(some, all.iter().filter(|name| *name != "system").cloned().collect::<Vec<_>>());
        assert_eq!(some.len() + 1, all.len());
    }
}

#[cfg(test)]
mod attributes {
    use super::*;
    use crate::sampler::probe::Sample;
    use crate::signal::Kind;

    #[test]
    fn p42_every_source_uses_the_attributes_in_the_table_of_metrics() {
        for plan in Sampler::builder().plans() {
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

use std::sync::Arc;

use super::latest::Latest;
use super::probe::Plan;
#[cfg(feature = "system")]
use super::runtime::Runtimes;
use super::schedule::Running;
use super::{SamplerGuard, SamplerSettings};
use crate::error::ConfigError;
use crate::signal;

/// A sampler that is about to start; see [`Sampler::builder`](super::Sampler::builder).
#[derive(Debug)]
#[must_use = "nothing is read before `start`"]
pub struct SamplerBuilder {
    settings: SamplerSettings,
    #[cfg(feature = "system")]
    runtimes: Runtimes,
}

impl SamplerBuilder {
    pub(super) fn new(settings: SamplerSettings) -> Self {
        Self {
            settings,
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

    /// Starts to read.
    ///
    /// # Errors
    /// When a setting is out of range, two runtimes have one name, or the operating system refuses a thread.
    pub fn start(self) -> Result<SamplerGuard, ConfigError> {
        self.settings.validate()?;
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
            plans.extend(super::container::plan(every, &limits));
            plans.extend(super::host::plans(system, every, &limits));
            plans.push(super::process::plan(every));
            plans.extend(super::runtime::plan(&self.runtimes, every));
            plans.retain(|plan: &Plan| system.reads(&plan.name));
        }
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

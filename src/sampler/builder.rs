use std::sync::Arc;

use super::latest::Latest;
use super::probe::Plan;
use super::schedule::Running;
use super::{SamplerGuard, SamplerSettings};
use crate::error::ConfigError;
use crate::signal;

/// A sampler that is about to start; see [`Sampler::builder`](super::Sampler::builder).
#[derive(Debug)]
#[must_use = "nothing is read before `start`"]
pub struct SamplerBuilder {
    settings: SamplerSettings,
}

impl SamplerBuilder {
    pub(super) fn new(settings: SamplerSettings) -> Self {
        Self { settings }
    }

    /// Starts to read.
    ///
    /// # Errors
    /// When a setting is out of range, or when the operating system refuses a thread.
    pub fn start(self) -> Result<SamplerGuard, ConfigError> {
        self.settings.validate()?;
        let plans = self.plans();
        let latest = Arc::new(Latest::new(plans.iter().map(|plan| (plan.name.clone(), plan.every))));
        signal::register(&latest);
        let running = Running::start(plans, Arc::clone(&latest)).map_err(|error| {
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
            plans.extend(super::host::plans(system, every, &limits));
            plans.push(super::process::plan(every));
            plans.extend(super::container::plan(every));
            plans.extend(super::runtime::plan(every));
        }
        #[cfg(feature = "gpu")]
        if let Some(gpu) = &self.settings.gpu {
            plans.extend(super::gpu::plans(gpu, self.settings.every));
        }
        plans
    }
}

//! The sampler that a pipeline has, if it has one.

use super::builder::TelemetrySettings;
use crate::error::ConfigError;
#[cfg(any(feature = "system", feature = "gpu"))]
use crate::sampler::{Sampler, SamplerBuilder, SamplerGuard, SamplerSettings, check_interval};
use crate::sync::Mutex;

/// What the sampler is given that settings cannot hold.
#[derive(Default)]
pub(super) struct MachineBuilder {
    #[cfg(any(feature = "system", feature = "gpu"))]
    pub(super) set_up: Vec<Box<dyn FnOnce(SamplerBuilder) -> SamplerBuilder + Send>>,
}

/// The sampler, until it is taken.
pub(super) struct Machine(Mutex<Option<Guard>>);

#[cfg(any(feature = "system", feature = "gpu"))]
type Guard = SamplerGuard;
#[cfg(not(any(feature = "system", feature = "gpu")))]
type Guard = ();

impl Machine {
    /// Ends the sampler when what this gives is dropped.
    pub(super) fn take(&self) -> Option<Guard> {
        self.0.lock().take()
    }
}

#[cfg(any(feature = "system", feature = "gpu"))]
impl MachineBuilder {
    pub(super) fn start(self, settings: &TelemetrySettings) -> Result<Machine, ConfigError> {
        let start = |sampled| {
            let builder = Sampler::builder(sampled);
            self.set_up.into_iter().fold(builder, |builder, set_up| set_up(builder)).start()
        };
        Ok(Machine(Mutex::new(sampled(settings).map(start).transpose()?)))
    }
}

#[cfg(not(any(feature = "system", feature = "gpu")))]
impl MachineBuilder {
    pub(super) fn start(self, _: &TelemetrySettings) -> Result<Machine, ConfigError> {
        Ok(Machine(Mutex::new(None)))
    }
}

/// Whether the sampler can be what the settings want, before anything is started.
pub(super) fn check(settings: &TelemetrySettings) -> Result<(), ConfigError> {
    let given = |given: bool, feature: bool, setting: &'static str, allowed: &'static str| {
        ConfigError::check(!given || feature, setting, "on", allowed)
    };
    given(
        settings.system.is_some(),
        cfg!(feature = "system"),
        "system",
        "campanile is built without the feature `system`",
    )?;
    given(
        settings.gpu.is_some(),
        cfg!(feature = "gpu"),
        "gpu",
        "campanile is built without the feature `gpu`",
    )?;
    #[cfg(any(feature = "system", feature = "gpu"))]
    {
        for (setting, every) in [("system", settings.system), ("gpu", settings.gpu)] {
            every.map_or(Ok(()), |every| check_interval(setting, every))?;
        }
        sampled(settings).map_or(Ok(()), |sampled| sampled.validate())?;
    }
    Ok(())
}

/// What the sampler is started with; `None` for no sampler.
#[cfg(any(feature = "system", feature = "gpu"))]
fn sampled(settings: &TelemetrySettings) -> Option<SamplerSettings> {
    if settings.sampler.is_none() && settings.system.is_none() && settings.gpu.is_none() {
        return None;
    }
    let mut sampled = settings.sampler.clone().unwrap_or_else(SamplerSettings::nothing);
    #[cfg(feature = "system")]
    settings.system.into_iter().for_each(|every| sampled.read_system(every));
    #[cfg(feature = "gpu")]
    settings.gpu.into_iter().for_each(|every| sampled.read_gpu(every));
    Some(sampled)
}

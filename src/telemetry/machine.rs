//! The sampler that a pipeline has, if it has one.

use super::builder::TelemetrySettings;
use crate::base::error::ConfigError;
use crate::sampler::{Sampler, SamplerBuilder, SamplerSettings, check_interval};

/// Gives the sampler what settings cannot hold.
pub(super) type SetUp = Box<dyn FnOnce(SamplerBuilder) -> SamplerBuilder + Send>;

pub(super) fn start(
    set_ups: Vec<SetUp>,
    settings: &TelemetrySettings,
) -> Result<Option<Sampler>, ConfigError> {
    let start = |sampled| {
        let builder = Sampler::builder().settings(sampled);
        set_ups.into_iter().fold(builder, |builder, set_up| set_up(builder)).build()
    };
    sampled(settings).map(start).transpose()
}

/// Whether the sampler can be what the settings want, before anything is started.
pub(super) fn check(settings: &TelemetrySettings) -> Result<(), ConfigError> {
    for (setting, every) in [("system", settings.system), ("gpu", settings.gpu)] {
        every.map_or(Ok(()), |every| check_interval(setting, every))?;
    }
    sampled(settings).map_or(Ok(()), |sampled| sampled.validate())
}

/// What the sampler is started with; `None` for no sampler.
fn sampled(settings: &TelemetrySettings) -> Option<SamplerSettings> {
    if settings.sampler.is_none() && settings.system.is_none() && settings.gpu.is_none() {
        return None;
    }
    let mut sampled = settings.sampler.clone().unwrap_or_else(SamplerSettings::nothing);
    #[cfg(feature = "system")]
    if settings.system.is_some() {
        sampled.system.get_or_insert_default().every = settings.system;
    }
    #[cfg(feature = "gpu")]
    if settings.gpu.is_some() {
        sampled.gpu.get_or_insert_default().every = settings.gpu;
    }
    Some(sampled)
}

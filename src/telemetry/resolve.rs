//! The settings of a pipeline with the `OTEL_*` variables applied.

use std::time::Duration;

use opentelemetry_sdk::Resource;

use super::batch::BatchSettings;
use super::filter;
use super::limits::SpanLimits;
use super::logs::LogSettings;
use super::metrics::PushSettings;
use super::propagation::{self, Format};
use super::resource::resource;
use super::sampling::Sampling;
use super::secrets::Secrets;
use super::selection::Selection;
use super::settings::TelemetrySettings;
use super::variables::Variables;
use crate::base::error::ConfigError;

/// Checked settings, with the variables applied.
pub(super) struct Resolved {
    pub(super) batch: BatchSettings,
    pub(super) limits: SpanLimits,
    pub(super) secrets: Secrets,
    pub(super) logs: LogSettings,
    pub(super) selection: Selection,
    pub(super) sampling: Sampling,
    pub(super) push: PushSettings,
    pub(super) formats: Vec<Format>,
    pub(super) resource: Resource,
}

impl Resolved {
    /// Checks `settings` and applies `variables`, which win over them.
    pub(super) fn new(settings: &TelemetrySettings, variables: &Variables) -> Result<Self, ConfigError> {
        settings.check()?;
        let batch = settings.batch.with_variables("BSP", variables)?;
        let limits = settings.limits.with_variables(variables)?;
        let secrets = Secrets::new(&settings.redaction, variables)?;
        let logs = settings.logs.with_variables(variables)?;
        let selection = Selection::new(settings, variables)?;
        let sampling = sampling(settings, variables, selection.disabled)?;
        let push = push_settings(settings, variables)?;
        // Only `install` uses it, but an invalid value is an error of `build` too.
        filter::log_level(variables)?;
        let formats = propagation::from_variables(variables)?;
        let resource = resource(&settings.service_name, &settings.attributes, settings.detection, variables)?;
        Ok(Self { batch, limits, secrets, logs, selection, sampling, push, formats, resource })
    }
}

fn push_settings(settings: &TelemetrySettings, variables: &Variables) -> Result<PushSettings, ConfigError> {
    let of = |name, set| match variables.milliseconds(name)? {
        Some(Duration::ZERO) => Err(ConfigError::new(name, 0, "milliseconds, more than zero")),
        given => Ok(given.unwrap_or(set)),
    };
    Ok(PushSettings {
        every: of("OTEL_METRIC_EXPORT_INTERVAL", settings.metrics_every)?,
        timeout: of("OTEL_METRIC_EXPORT_TIMEOUT", settings.metrics_timeout)?,
    })
}

fn sampling(
    settings: &TelemetrySettings,
    variables: &Variables,
    disabled: bool,
) -> Result<Sampling, ConfigError> {
    if disabled {
        return Ok(Sampling::AlwaysOff);
    }
    match variables.get("OTEL_TRACES_SAMPLER") {
        Some(name) => Sampling::from_variables(&name, variables.get("OTEL_TRACES_SAMPLER_ARG").as_deref()),
        None => Ok(settings.sampling.clone()),
    }
}

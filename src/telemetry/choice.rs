//! Which exporters run: what the code asks for, unless the environment says otherwise.

use std::sync::Arc;

use opentelemetry_sdk::Resource;

use super::batch::{Batch, BatchSettings};
use super::builder::TelemetrySettings;
use super::console_export::ConsoleExporter;
use super::counters::Counters;
use super::error::TelemetryError;
#[cfg(feature = "otlp")]
use super::export::{self, Background};
use super::metrics::Outlet;
use super::otlp::OtlpSettings;
use super::variables::Variables;
use crate::error::ConfigError;

/// Which exporters run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// Whether `OTEL_SDK_DISABLED` ends it all.
    pub(super) disabled: bool,
    traces: Sinks,
    metrics: Sinks,
    pub(super) logs: Sinks,
    pub(super) prometheus: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sinks {
    pub(super) otlp: bool,
    pub(super) console: bool,
}

impl Choice {
    /// By `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER` and `OTEL_LOGS_EXPORTER`, else by the settings.
    pub(super) fn of(settings: &TelemetrySettings, variables: &Variables) -> Result<Self, ConfigError> {
        if variables.flag("OTEL_SDK_DISABLED") {
            return Ok(Self { disabled: true, ..Self::default() });
        }
        let wanted = Sinks { otlp: settings.otlp, console: false };
        let (traces, _) = sinks(variables, "OTEL_TRACES_EXPORTER", wanted, None)?;
        let (logs, _) = sinks(variables, "OTEL_LOGS_EXPORTER", wanted, None)?;
        let prometheus = Some(settings.prometheus);
        let (metrics, prometheus) = sinks(variables, "OTEL_METRICS_EXPORTER", wanted, prometheus)?;
        Ok(Self { disabled: false, traces, metrics, logs, prometheus })
    }

    /// Starts what exports spans, and says what metrics are to be sent to.
    pub(super) fn start(
        &self,
        variables: &Variables,
        settings: BatchSettings,
        otlp: &OtlpSettings,
        counters: &Arc<Counters>,
        resource: &Resource,
    ) -> Result<Started, TelemetryError> {
        let mut batches = Vec::new();
        let mut outlets = Vec::new();
        if self.traces.console {
            batches.push(Arc::new(Batch::start(ConsoleExporter, settings, Arc::clone(counters))?));
        }
        if self.metrics.console {
            outlets.push(Outlet::new(ConsoleExporter));
        }
        #[cfg(feature = "otlp")]
        let mut background = None;
        #[cfg(feature = "otlp")]
        if self.traces.otlp || self.metrics.otlp {
            use opentelemetry_sdk::trace::SpanExporter;

            let shared = Arc::new(Background::start(otlp.clone(), Arc::clone(counters))?);
            if self.traces.otlp {
                let mut exporter = export::spans(&shared, variables)?;
                exporter.set_resource(resource);
                batches.push(Arc::new(Batch::start(exporter, settings, Arc::clone(counters))?));
            }
            if self.metrics.otlp {
                outlets.push(Outlet::new(export::metrics(&shared, variables)?));
            }
            background = Some(shared);
        }
        let _ = (variables, resource, otlp);
        Ok(Started {
            batches,
            outlets,
            #[cfg(feature = "otlp")]
            background,
        })
    }
}

/// The exporters that run.
pub(super) struct Started {
    pub(super) batches: Vec<Arc<Batch>>,
    pub(super) outlets: Vec<Outlet>,
    #[cfg(feature = "otlp")]
    pub(super) background: Option<Arc<Background>>,
}

/// The sinks of one signal, and whether Prometheus is among them where it may be.
fn sinks(
    variables: &Variables,
    name: &'static str,
    wanted: Sinks,
    prometheus: Option<bool>,
) -> Result<(Sinks, bool), ConfigError> {
    let Some(names) = variables.list(name) else { return Ok((wanted, prometheus.unwrap_or(false))) };
    let (mut sinks, mut scraped) = (Sinks::default(), false);
    for sink in names {
        match sink.as_str() {
            "otlp" if cfg!(feature = "otlp") => sinks.otlp = true,
            "console" => sinks.console = true,
            "prometheus" if prometheus.is_some() && cfg!(feature = "prometheus") => scraped = true,
            "none" | "" => {}
            _ => {
                return Err(ConfigError::new(
                    name,
                    sink,
                    if prometheus.is_some() {
                        "a list of otlp, prometheus and console, as far as the features of those names are on, \
                         or none"
                    } else {
                        "a list of otlp, if that feature is on, and console, or none"
                    },
                ));
            }
        }
    }
    Ok((sinks, scraped))
}

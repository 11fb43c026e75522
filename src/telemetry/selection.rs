//! The selection of exporters, by settings and `OTEL_*_EXPORTER` variables.

use std::sync::Arc;

use opentelemetry_sdk::Resource;

use super::batch::{BatchProcessor, BatchSettings};
use super::counters::Counters;
use super::error::TelemetryError;
#[cfg(feature = "otlp")]
use super::export::{self, Background};
use super::exporters::StartLogs;
#[cfg(any(feature = "otlp", feature = "stdout"))]
use super::exporters::log_exporter;
use super::metrics::PendingPush;
use super::otlp::OtlpSettings;
use super::settings::TelemetrySettings;
use super::variables::Variables;
use crate::base::error::ConfigError;

/// The exporters that run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// Whether `OTEL_SDK_DISABLED` is `true`.
    pub(super) disabled: bool,
    traces: Destinations,
    metrics: Destinations,
    logs: Destinations,
    pub(super) prometheus: bool,
    /// Whether histograms have exponential buckets.
    pub(super) exponential: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Destinations {
    otlp: bool,
    console: bool,
}

impl Selection {
    /// The variables `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER` and `OTEL_LOGS_EXPORTER` win over
    /// `settings`.
    pub(super) fn new(settings: &TelemetrySettings, variables: &Variables) -> Result<Self, ConfigError> {
        if variables.flag("OTEL_SDK_DISABLED") {
            return Ok(Self { disabled: true, ..Self::default() });
        }
        let wanted = Destinations { otlp: settings.otlp, console: false };
        let (traces, _) = destinations(variables, "OTEL_TRACES_EXPORTER", wanted, None)?;
        let (logs, _) = destinations(variables, "OTEL_LOGS_EXPORTER", wanted, None)?;
        let prometheus = Some(settings.prometheus);
        let (metrics, prometheus) = destinations(variables, "OTEL_METRICS_EXPORTER", wanted, prometheus)?;
        let exponential = metrics.otlp && exponential(variables, prometheus)?;
        Ok(Self { disabled: false, traces, metrics, logs, prometheus, exponential })
    }

    /// Starts the queues of the span exporters, and makes the exporters of log records and metrics.
    pub(super) fn start(
        &self,
        variables: &Variables,
        settings: BatchSettings,
        otlp: &OtlpSettings,
        counters: &Arc<Counters>,
        resource: &Resource,
    ) -> Result<Started, TelemetryError> {
        let mut batches = Vec::new();
        let mut logs: Vec<StartLogs> = Vec::new();
        let mut pending_pushes = Vec::new();
        #[cfg(feature = "stdout")]
        {
            use opentelemetry_sdk::trace::SpanExporter;
            use opentelemetry_stdout as stdout;

            if self.traces.console {
                let mut exporter = stdout::SpanExporter::default();
                exporter.set_resource(resource);
                batches.push(Arc::new(BatchProcessor::start(exporter, settings, Arc::clone(counters))?));
            }
            if self.logs.console {
                logs.push(log_exporter(stdout::LogExporter::default()));
            }
            if self.metrics.console {
                pending_pushes.push(PendingPush::new(stdout::MetricExporter::default()));
            }
        }
        #[cfg(feature = "otlp")]
        let mut background = None;
        #[cfg(feature = "otlp")]
        if self.traces.otlp || self.metrics.otlp || self.logs.otlp {
            use opentelemetry_sdk::trace::SpanExporter;

            let shared = Arc::new(Background::start(otlp.clone(), Arc::clone(counters))?);
            if self.traces.otlp {
                let mut exporter = export::spans(&shared, variables)?;
                SpanExporter::set_resource(&mut exporter, resource);
                batches.push(Arc::new(BatchProcessor::start(exporter, settings, Arc::clone(counters))?));
            }
            if self.metrics.otlp {
                pending_pushes.push(PendingPush::new(export::metrics(&shared, variables)?));
            }
            if self.logs.otlp {
                logs.push(log_exporter(export::logs(&shared, variables)?));
            }
            background = Some(shared);
        }
        Ok(Started {
            batches,
            logs,
            pending_pushes,
            #[cfg(feature = "otlp")]
            background,
        })
    }
}

/// Logs a warning if a variable names an OTLP endpoint and this build of the crate cannot export to it.
#[cfg(not(feature = "otlp"))]
pub(super) fn warn_about_unused_endpoint(variables: &Variables) {
    if let Some(variable) = unused_endpoint(variables) {
        tracing::warn!(
            variable,
            "an OTLP endpoint is set, but nothing is exported to it: the feature `otlp` of campanile is off; turn it on"
        );
    }
}

/// The first variable that names an OTLP endpoint.
#[cfg(not(feature = "otlp"))]
fn unused_endpoint(variables: &Variables) -> Option<&'static str> {
    let is_off =
        |exporter: &str| variables.get(exporter).is_some_and(|name| name.eq_ignore_ascii_case("none"));
    let signals = [
        ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ("OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
        ("OTEL_LOGS_EXPORTER", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"),
    ];
    let mut wanted = signals.into_iter().filter(|(exporter, _)| !is_off(exporter)).peekable();
    if variables.flag("OTEL_SDK_DISABLED") || wanted.peek().is_none() {
        return None;
    }
    std::iter::once("OTEL_EXPORTER_OTLP_ENDPOINT")
        .chain(wanted.map(|(_, endpoint)| endpoint))
        .find(|name| variables.get(name).is_some())
}

/// The selected exporters.
pub(super) struct Started {
    pub(super) batches: Vec<Arc<BatchProcessor>>,
    pub(super) logs: Vec<StartLogs>,
    pub(super) pending_pushes: Vec<PendingPush>,
    #[cfg(feature = "otlp")]
    pub(super) background: Option<Arc<Background>>,
}

/// Whether histograms have exponential buckets, for OTLP and so for all exporters.
fn exponential(variables: &Variables, prometheus: bool) -> Result<bool, ConfigError> {
    const NAME: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    let Some(value) = variables.get(NAME) else { return Ok(false) };
    let allowed = match value.to_ascii_lowercase().as_str() {
        "explicit_bucket_histogram" => return Ok(false),
        "base2_exponential_bucket_histogram" if !prometheus => return Ok(true),
        "base2_exponential_bucket_histogram" => {
            "explicit_bucket_histogram while Prometheus is on, because its text has no exponential histograms"
        }
        _ => "explicit_bucket_histogram or base2_exponential_bucket_histogram",
    };
    Err(ConfigError::new(NAME, value, allowed))
}

/// The allowed values of a variable, for errors.
fn allowed(prometheus: bool) -> String {
    let destinations = [
        ("otlp", "otlp", cfg!(feature = "otlp")),
        ("console", "stdout", cfg!(feature = "stdout")),
        ("prometheus", "prometheus", cfg!(feature = "prometheus")),
    ];
    let destinations =
        destinations.into_iter().filter(|(destination, ..)| prometheus || *destination != "prometheus");
    let listed = destinations.map(|(destination, feature, on)| match on {
        true => destination.to_owned(),
        false => format!("{destination} (with the feature `{feature}` of campanile, which is off)"),
    });
    format!("none, or a list of {}", listed.collect::<Vec<_>>().join(", "))
}

/// The destinations of one signal, and whether Prometheus is one of them. `prometheus` is `None` for signals that it does not
/// take, otherwise the setting.
fn destinations(
    variables: &Variables,
    name: &'static str,
    wanted: Destinations,
    prometheus: Option<bool>,
) -> Result<(Destinations, bool), ConfigError> {
    let Some(names) = variables.list(name) else { return Ok((wanted, prometheus.unwrap_or(false))) };
    let (mut destinations, mut scraped) = (Destinations::default(), false);
    for destination in names {
        match destination.as_str() {
            "otlp" if cfg!(feature = "otlp") => destinations.otlp = true,
            "console" if cfg!(feature = "stdout") => destinations.console = true,
            "prometheus" if prometheus.is_some() && cfg!(feature = "prometheus") => scraped = true,
            "none" | "" => {}
            _ => return Err(ConfigError::new(name, destination, allowed(prometheus.is_some()))),
        }
    }
    Ok((destinations, scraped))
}

#[cfg(all(test, not(feature = "otlp")))]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_nothing_is_exported_to_is_found() {
        let found = |names: &'static [&str]| {
            unused_endpoint(&Variables::new(|name| names.contains(&name).then(|| "true".to_owned())))
        };
        assert_eq!(found(&[]), None);
        assert_eq!(found(&["OTEL_EXPORTER_OTLP_ENDPOINT"]), Some("OTEL_EXPORTER_OTLP_ENDPOINT"));
        assert_eq!(found(&["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"]), Some("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"));
        assert_eq!(found(&["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SDK_DISABLED"]), None);
        let none = Variables::new(|name| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" | "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT" => Some("http://c".to_owned()),
            name if name.ends_with("_EXPORTER") => Some("none".to_owned()),
            _ => None,
        });
        assert_eq!(unused_endpoint(&none), None);
    }
}

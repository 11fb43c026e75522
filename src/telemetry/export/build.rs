//! Builds the exporters of a pipeline.

use std::sync::Arc;

use opentelemetry_otlp::{ExporterBuildError, LogExporter, MetricExporter, SpanExporter};
use opentelemetry_sdk::metrics::Temporality;

use super::background::Background;
use super::exporter::{Exporter, Transport};
use super::sender::Sender;
use super::target::Target;
use crate::base::error::ConfigError;
use crate::telemetry::counters::Signal;
use crate::telemetry::error::TelemetryError;
use crate::telemetry::variables::Variables;

type Built<E> = Result<Exporter<E>, TelemetryError>;

impl Background {
    /// An exporter of `signal`. `build` makes it with a transport.
    fn exporter<E>(
        self: &Arc<Self>,
        signal: Signal,
        variables: &Variables,
        build: impl FnOnce(&Arc<Transport>) -> Result<E, ExporterBuildError>,
    ) -> Built<E> {
        let target = Target::of(signal, &self.settings, variables)?;
        let (endpoint, setting) = (target.origin(), target.uri_setting.clone());
        let sender = Sender::new(target, self.closing.subscribe(), Arc::clone(&self.counters))?;
        let transport = Arc::new(Transport::new(sender, self));
        let inner = build(&transport).map_err(|error| TelemetryError::Exporter {
            signal: signal.as_str(),
            endpoint,
            setting,
            reason: error.to_string(),
        })?;
        Ok(Exporter { inner, transport })
    }
}

/// Exports spans.
pub(in crate::telemetry) fn spans(
    background: &Arc<Background>,
    variables: &Variables,
) -> Built<SpanExporter> {
    let builder = SpanExporter::builder().with_http();
    background.exporter(Signal::Traces, variables, |transport| transport.configure(builder).build())
}

/// Exports metrics.
pub(in crate::telemetry) fn metrics(
    background: &Arc<Background>,
    variables: &Variables,
) -> Built<MetricExporter> {
    let builder = MetricExporter::builder().with_temporality(temporality(variables)?).with_http();
    background.exporter(Signal::Metrics, variables, |transport| transport.configure(builder).build())
}

/// Exports log records.
pub(in crate::telemetry) fn logs(background: &Arc<Background>, variables: &Variables) -> Built<LogExporter> {
    let builder = LogExporter::builder().with_http();
    background.exporter(Signal::Logs, variables, |transport| transport.configure(builder).build())
}

fn temporality(variables: &Variables) -> Result<Temporality, ConfigError> {
    const NAME: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    let Some(value) = variables.get(NAME) else { return Ok(Temporality::Cumulative) };
    value.parse().map_err(|()| ConfigError::new(NAME, value, "cumulative, delta or lowmemory"))
}

//! OTLP, over gRPC and over HTTP.
//!
//! Both clients are asynchronous and live on a small runtime of the pipeline's own. So it does not matter which
//! runtime the application has, whether it has one, or whether that one is blocked: spans leave all the same,
//! and every export can be given up when its time is over.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use opentelemetry_otlp::{
    LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::LogBatch;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::SpanData;
use pin_project_lite::pin_project;
use tokio::runtime::{Builder, Handle, Runtime};

use super::activation::Silence;
use super::counters::Signal;
use super::error::TelemetryError;
use super::http_client::HttpClient;
use super::variables::Variables;
use crate::error::ConfigError;

/// The runtime that exports run on.
pub(super) struct Background {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Background {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("campanile-export")
            .on_thread_start(Silence::for_good)
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // The last one to let go may stand in an asynchronous context, where waiting is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Background")
    }
}

/// Where one signal goes, and how.
#[derive(Clone, Debug, PartialEq)]
struct Target {
    grpc: bool,
    endpoint: String,
    timeout: Duration,
}

impl Target {
    fn of(signal: Signal, variables: &Variables) -> Result<Self, ConfigError> {
        let (names, path) = match signal {
            Signal::Traces => (
                [
                    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
                ],
                "v1/traces",
            ),
            Signal::Metrics => (
                [
                    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
                    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
                    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
                ],
                "v1/metrics",
            ),
            Signal::Logs => (
                [
                    "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
                    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
                    "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
                ],
                "v1/logs",
            ),
        };
        let [protocol, own_endpoint, timeout] = names;
        let grpc = match variables.first(&[protocol, "OTEL_EXPORTER_OTLP_PROTOCOL"]) {
            None => false,
            Some((name, value)) => match value.to_ascii_lowercase().as_str() {
                "grpc" => true,
                "http/protobuf" => false,
                _ => return Err(ConfigError::new(name.to_owned(), value, "grpc or http/protobuf")),
            },
        };
        let endpoint = match (variables.get(own_endpoint), variables.get("OTEL_EXPORTER_OTLP_ENDPOINT")) {
            (Some(own), _) => own,
            (None, Some(general)) if grpc => general,
            (None, Some(general)) => format!("{}/{path}", general.trim_end_matches('/')),
            (None, None) if grpc => "http://localhost:4317".to_owned(),
            (None, None) => format!("http://localhost:4318/{path}"),
        };
        let timeout = match variables.milliseconds(timeout)? {
            Some(own) => own,
            None => variables
                .milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT")?
                .unwrap_or(opentelemetry_otlp::OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT),
        };
        Ok(Self { grpc, endpoint, timeout })
    }

    fn checked(self, signal: Signal) -> Result<Self, TelemetryError> {
        if self.endpoint.starts_with("https:") {
            let reason = "there is no TLS in this build: use an http: endpoint, such as that of a collector next \
                          to the service";
            return Err(self.failed(signal, reason));
        }
        Ok(self)
    }

    fn failed(&self, signal: Signal, reason: impl fmt::Display) -> TelemetryError {
        TelemetryError::Exporter {
            signal: signal.as_str(),
            endpoint: self.endpoint.clone(),
            reason: reason.to_string(),
        }
    }
}

pub(super) fn spans(
    background: &Arc<Background>,
    variables: &Variables,
) -> Result<Bounded<SpanExporter>, TelemetryError> {
    let target = Target::of(Signal::Traces, variables)?.checked(Signal::Traces)?;
    // The gRPC channel looks for a runtime when it is made.
    let _runtime = background.handle.enter();
    let built = if target.grpc {
        SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&target.endpoint)
            .with_timeout(target.timeout)
            .build()
    } else {
        SpanExporter::builder()
            .with_http()
            .with_http_client(HttpClient::new())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&target.endpoint)
            .with_timeout(target.timeout)
            .build()
    };
    let exporter = built.map_err(|error| target.failed(Signal::Traces, error))?;
    Ok(Bounded { exporter, background: Arc::clone(background), timeout: target.timeout })
}

pub(super) fn metrics(
    background: &Arc<Background>,
    variables: &Variables,
) -> Result<Bounded<MetricExporter>, TelemetryError> {
    let target = Target::of(Signal::Metrics, variables)?.checked(Signal::Metrics)?;
    let builder = MetricExporter::builder().with_temporality(temporality(variables)?);
    let _runtime = background.handle.enter();
    let built = if target.grpc {
        builder.with_tonic().with_endpoint(&target.endpoint).with_timeout(target.timeout).build()
    } else {
        builder
            .with_http()
            .with_http_client(HttpClient::new())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&target.endpoint)
            .with_timeout(target.timeout)
            .build()
    };
    let exporter = built.map_err(|error| target.failed(Signal::Metrics, error))?;
    Ok(Bounded { exporter, background: Arc::clone(background), timeout: target.timeout })
}

pub(super) fn logs(
    background: &Arc<Background>,
    variables: &Variables,
) -> Result<Bounded<LogExporter>, TelemetryError> {
    let target = Target::of(Signal::Logs, variables)?.checked(Signal::Logs)?;
    let _runtime = background.handle.enter();
    let built = if target.grpc {
        LogExporter::builder()
            .with_tonic()
            .with_endpoint(&target.endpoint)
            .with_timeout(target.timeout)
            .build()
    } else {
        LogExporter::builder()
            .with_http()
            .with_http_client(HttpClient::new())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&target.endpoint)
            .with_timeout(target.timeout)
            .build()
    };
    let exporter = built.map_err(|error| target.failed(Signal::Logs, error))?;
    Ok(Bounded { exporter, background: Arc::clone(background), timeout: target.timeout })
}

fn temporality(variables: &Variables) -> Result<Temporality, ConfigError> {
    const NAME: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    match variables.get(NAME) {
        None => Ok(Temporality::Cumulative),
        Some(value) => match value.to_ascii_lowercase().as_str() {
            "cumulative" => Ok(Temporality::Cumulative),
            "delta" => Ok(Temporality::Delta),
            "lowmemory" => Ok(Temporality::LowMemory),
            _ => Err(ConfigError::new(NAME, value, "cumulative, delta or lowmemory")),
        },
    }
}

/// An exporter that runs on the background runtime, for as long as it is allowed to.
#[derive(Debug)]
pub(super) struct Bounded<E> {
    exporter: E,
    background: Arc<Background>,
    timeout: Duration,
}

impl<E> Bounded<E> {
    fn run<'a>(
        &'a self,
        export: impl Future<Output = OTelSdkResult> + Send + 'a,
    ) -> impl Future<Output = OTelSdkResult> + Send + 'a {
        // The exporter keeps this limit itself, as far as it can; a connection that hangs it cannot.
        let limit = self.timeout + Duration::from_secs(1);
        let future = async move {
            tokio::time::timeout(limit, export).await.unwrap_or(Err(OTelSdkError::Timeout(limit)))
        };
        OnRuntime { future, handle: self.background.handle.clone() }
    }
}

impl opentelemetry_sdk::trace::SpanExporter for Bounded<SpanExporter> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.run(self.exporter.export(batch)).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
        self.exporter.set_resource(resource);
    }
}

impl opentelemetry_sdk::logs::LogExporter for Bounded<LogExporter> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.run(self.exporter.export(batch)).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
        self.exporter.set_resource(resource);
    }
}

impl PushMetricExporter for Bounded<MetricExporter> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.run(self.exporter.export(metrics)).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

pin_project! {
    /// Polls a future from any thread as if it were on a runtime.
    struct OnRuntime<F> {
        #[pin]
        future: F,
        handle: Handle,
    }
}

impl<F: Future> Future for OnRuntime<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _runtime = this.handle.enter();
        this.future.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(signal: Signal, set: &'static [(&'static str, &'static str)]) -> Result<Target, ConfigError> {
        let find =
            |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Target::of(signal, &Variables::new(find))
    }

    #[test]
    fn the_default_is_http_on_this_machine() {
        let target = target(Signal::Traces, &[]).unwrap();
        assert_eq!(target.endpoint, "http://localhost:4318/v1/traces");
        assert!(!target.grpc);
        assert_eq!(target.timeout, Duration::from_secs(10));
    }

    #[test]
    fn a_general_endpoint_gets_the_path_of_the_signal_and_an_own_one_stays() {
        let set = &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1/base/"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:2/x"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ];
        assert_eq!(target(Signal::Metrics, set).unwrap().endpoint, "http://c:1/base/v1/metrics");
        assert_eq!(target(Signal::Traces, set).unwrap().endpoint, "http://t:2/x");
        assert_eq!(target(Signal::Traces, set).unwrap().timeout, Duration::from_millis(1_500));
    }

    #[test]
    fn each_signal_may_have_its_own_protocol() {
        let set = &[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ];
        assert_eq!(target(Signal::Traces, set).unwrap().endpoint, "http://localhost:4317");
        assert!(!target(Signal::Metrics, set).unwrap().grpc);
        let error = target(Signal::Traces, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/xml")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "setting `OTEL_EXPORTER_OTLP_PROTOCOL` cannot be http/xml: grpc or http/protobuf"
        );
    }
}

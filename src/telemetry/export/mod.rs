//! OTLP, over HTTP and over gRPC.
//!
//! The exporters are those of opentelemetry-otlp. They group items by resource and scope and encode them as protobuf. Then
//! they call an `HttpClient`. Ours is [`Transport`]. It does what opentelemetry-otlp 0.33.1 does not do:
//!
//! - It sends on a small runtime of the pipeline's own. The application may have no runtime, or may block it.
//! - It applies the timeout to the whole export, including retries and the delays between them. The shutdown of the
//!   pipeline ends those delays. opentelemetry-otlp sleeps between retries and cannot be interrupted, so its retries are
//!   off.
//! - It counts the items that a collector rejects. opentelemetry-otlp logs them and reports success.
//! - It keeps the cause of a failed export. opentelemetry-otlp reports "network error" for every export without an answer.
//! - It takes URL, headers and certificates from [`Target`], which checks them. opentelemetry-otlp drops malformed
//!   headers silently, appends the path of a signal to the query of an endpoint, and reads no certificates.
//! - It opens a new connection after an export that timed out, because the old one may be dead.
//!
//! Over gRPC the same message is sent in a frame. The module `grpc` says why opentelemetry-otlp does not send it.
//!
//! opentelemetry-otlp logs its endpoint and error answers. Its log is off here, but another dependency of the application
//! may switch it on (feature `internal-logs`). So it gets the origin of the collector only, and answers without content.
//! `tests/export_log.rs` checks this.
//!
//! Two limits remain. opentelemetry-otlp refuses a message of more than 64 MiB, which counts as a failed export. When the
//! application reads variables from a source of its own and they do not ask for compression,
//! `OTEL_EXPORTER_OTLP_COMPRESSION=gzip` in the environment still compresses.

mod answer;
mod connect;
mod exporter;
#[cfg(feature = "otlp-grpc")]
mod grpc;
mod headers;
mod sender;
mod split;
mod target;

use std::io;
use std::sync::Arc;

use opentelemetry_otlp::{ExporterBuildError, LogExporter, MetricExporter, SpanExporter};
use opentelemetry_sdk::metrics::Temporality;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

use self::exporter::{Exporter, Transport};
use self::sender::Sender;
use self::target::Target;
use super::activation::Silence;
use super::counters::{Counters, Signal};
use super::error::TelemetryError;
use super::otlp::OtlpSettings;
use super::variables::Variables;
use crate::base::error::ConfigError;

/// What the exporters of one pipeline share: a runtime, settings and counters.
#[derive(Debug)]
pub(super) struct Background {
    runtime: Option<Runtime>,
    handle: Handle,
    settings: OtlpSettings,
    counters: Arc<Counters>,
    closing: watch::Sender<bool>,
}

impl Background {
    pub(super) fn start(settings: OtlpSettings, counters: Arc<Counters>) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("campanile-export")
            .on_thread_start(Silence::for_good)
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle, settings, counters, closing: watch::Sender::new(false) })
    }

    /// Ends all retries, for a shutdown.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// An exporter of `signal`. `build` makes it with a transport.
    fn exporter<E>(
        self: &Arc<Self>,
        signal: Signal,
        variables: &Variables,
        build: impl FnOnce(&Arc<Transport>) -> Result<E, ExporterBuildError>,
    ) -> Built<E> {
        let target = Target::of(signal, &self.settings, variables)?;
        let endpoint = target.origin();
        let sender = Sender::new(target, self.closing.subscribe(), Arc::clone(&self.counters))?;
        let transport = Arc::new(Transport::new(sender, self));
        let inner = build(&transport).map_err(|error| TelemetryError::Exporter {
            signal: signal.as_str(),
            endpoint,
            reason: error.to_string(),
        })?;
        Ok(Exporter { inner, transport })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // The last owner may be dropped in an asynchronous context, which must not block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

type Built<E> = Result<Exporter<E>, TelemetryError>;

/// Exports spans.
pub(super) fn spans(background: &Arc<Background>, variables: &Variables) -> Built<SpanExporter> {
    let builder = SpanExporter::builder().with_http();
    background.exporter(Signal::Traces, variables, |transport| transport.configure(builder).build())
}

/// Exports metrics.
pub(super) fn metrics(background: &Arc<Background>, variables: &Variables) -> Built<MetricExporter> {
    let builder = MetricExporter::builder().with_temporality(temporality(variables)?).with_http();
    background.exporter(Signal::Metrics, variables, |transport| transport.configure(builder).build())
}

/// Exports log records.
pub(super) fn logs(background: &Arc<Background>, variables: &Variables) -> Built<LogExporter> {
    let builder = LogExporter::builder().with_http();
    background.exporter(Signal::Logs, variables, |transport| transport.configure(builder).build())
}

fn temporality(variables: &Variables) -> Result<Temporality, ConfigError> {
    const NAME: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    let Some(value) = variables.get(NAME) else { return Ok(Temporality::Cumulative) };
    value.parse().map_err(|()| ConfigError::new(NAME, value, "cumulative, delta or lowmemory"))
}

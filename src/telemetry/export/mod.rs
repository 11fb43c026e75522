//! OTLP, over HTTP and over gRPC.
//!
//! The exporters are those of the crate opentelemetry-otlp: it groups what is exported by resource and scope, writes
//! the protobuf of it and compresses that. It then calls the [`Transport`](exporter::Transport) that it was given as its
//! `HttpClient`, and that is ours, for what the crate does not do:
//!
//! - It runs on a small runtime of the pipeline's own. So spans leave whatever runtime the application has, whether it
//!   has one, and whether that one is blocked.
//! - It gives an export up when its time is over, waits between tries included. The retries of the crate do not end what
//!   is under way, and sleep in a way that the end of the process cannot cut short; they are switched off.
//! - It counts what a collector rejects. The crate logs that and reports success.
//! - It keeps why an export failed. The crate makes one text of all that kept it from an answer.
//! - It takes the headers, the address and the certificates that [`Target`] read and checked. The crate drops a header
//!   that is none without a word, appends the path of a signal behind a query, and knows no certificates.
//! - It connects anew after an export that was given up, so that a connection that died is not used again.
//!
//! Over gRPC the same message is in a frame: the module `grpc` says why that is not left to the crate.
//!
//! The crate is told the host of the collector and no more of its address, and gets answers without their content: its own
//! log, which another crate of the application may switch on, has no secret to repeat.

mod answer;
mod connect;
mod exporter;
#[cfg(feature = "otlp-grpc")]
mod grpc;
mod headers;
mod sender;
mod target;

use std::fmt;
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
use crate::error::ConfigError;

/// What the exporters of one pipeline share: a runtime, what the code says about OTLP, and whom to tell.
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

    /// From now on nothing that failed is sent again: the process wants to end.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// The exporter of `signal` that `build` makes when it is given a transport.
    fn exporter<E>(
        self: &Arc<Self>,
        signal: Signal,
        variables: &Variables,
        build: impl FnOnce(&Arc<Transport>) -> Result<E, ExporterBuildError>,
    ) -> Result<Exporter<E>, TelemetryError> {
        let target = Target::of(signal, &self.settings, variables)?;
        let endpoint = target.origin();
        let sender = Sender::new(target, self.closing.subscribe(), Arc::clone(&self.counters))?;
        let transport = Arc::new(Transport::new(sender, self));
        let inner = build(&transport).map_err(|error| TelemetryError::Exporter {
            signal: signal.as_str(),
            endpoint,
            reason: error.to_string(),
        })?;
        Ok(Exporter::new(inner, transport))
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

/// Exports spans.
pub(super) fn spans(
    background: &Arc<Background>,
    variables: &Variables,
) -> Result<Exporter<SpanExporter>, TelemetryError> {
    let build = |transport: &Arc<Transport>| transport.carry(SpanExporter::builder().with_http()).build();
    background.exporter(Signal::Traces, variables, build)
}

/// Exports metrics.
pub(super) fn metrics(
    background: &Arc<Background>,
    variables: &Variables,
) -> Result<Exporter<MetricExporter>, TelemetryError> {
    let builder = MetricExporter::builder().with_temporality(temporality(variables)?).with_http();
    background.exporter(Signal::Metrics, variables, |transport| transport.carry(builder).build())
}

/// Exports log records.
pub(super) fn logs(
    background: &Arc<Background>,
    variables: &Variables,
) -> Result<Exporter<LogExporter>, TelemetryError> {
    let build = |transport: &Arc<Transport>| transport.carry(LogExporter::builder().with_http()).build();
    background.exporter(Signal::Logs, variables, build)
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

//! OTLP, over gRPC and over HTTP.
//!
//! There is an exporter of the OpenTelemetry project; but it reads its headers, compression and certificates from
//! the environment of the process and from nowhere else, and which client it sends by depends on features that it
//! shares with whoever else uses it. So there is one here that takes all of that from its caller: the messages of
//! the protocol, sent by one client. gRPC is no more than a frame and a trailer around the same message.
//!
//! It lives on a small runtime of the pipeline's own. So it does not matter which runtime the application has,
//! whether it has one, or whether that one is blocked: spans leave all the same, and every export is given up when
//! its time is over.

mod answer;
mod connect;
mod exporter;
mod headers;
mod message;
mod sender;
mod target;

use std::fmt;
use std::io;
use std::sync::Arc;

use opentelemetry_sdk::metrics::Temporality;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

use self::exporter::Exporter;
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

    fn sender(&self, signal: Signal, variables: &Variables) -> Result<Sender, TelemetryError> {
        let target = Target::of(signal, &self.settings, variables)?;
        Sender::new(target, self.handle.clone(), self.closing.subscribe(), Arc::clone(&self.counters))
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
pub(super) fn spans(background: &Arc<Background>, variables: &Variables) -> Result<Exporter, TelemetryError> {
    Ok(Exporter::new(background.sender(Signal::Traces, variables)?, background))
}

/// Exports metrics.
pub(super) fn metrics(
    background: &Arc<Background>,
    variables: &Variables,
) -> Result<Exporter, TelemetryError> {
    let temporality = temporality(variables)?;
    let exporter = Exporter::new(background.sender(Signal::Metrics, variables)?, background);
    Ok(exporter.with_temporality(temporality))
}

/// Exports log records.
pub(super) fn logs(background: &Arc<Background>, variables: &Variables) -> Result<Exporter, TelemetryError> {
    Ok(Exporter::new(background.sender(Signal::Logs, variables)?, background))
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

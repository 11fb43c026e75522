//! The runtime that sends what the exporters of one pipeline export.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

use crate::telemetry::counters::Counters;
use crate::telemetry::otlp::OtlpSettings;
use crate::telemetry::suppress::suppress_thread;

/// The parts that the exporters of one pipeline share: a runtime, settings and counters.
#[derive(Debug)]
pub(in crate::telemetry) struct Background {
    runtime: Option<Runtime>,
    pub(super) handle: Handle,
    pub(super) settings: OtlpSettings,
    pub(super) counters: Arc<Counters>,
    pub(super) closing: watch::Sender<bool>,
}

impl Background {
    pub(in crate::telemetry) fn start(settings: OtlpSettings, counters: Arc<Counters>) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("campanile-export")
            .on_thread_start(suppress_thread)
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle, settings, counters, closing: watch::Sender::new(false) })
    }

    /// Ends all retries, for a shutdown.
    pub(in crate::telemetry) fn close(&self) {
        self.closing.send_replace(true);
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

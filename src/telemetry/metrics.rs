//! Exporters that are sent metrics at intervals.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;

use super::counters::{Counters, Signal};
use crate::clock;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Counts what an exporter fails to deliver, and says once that it does.
#[derive(Debug)]
pub(super) struct Counted<E> {
    exporter: E,
    counters: Arc<Counters>,
    failing: AtomicBool,
}

impl<E> Counted<E> {
    pub(super) fn new(exporter: E, counters: Arc<Counters>) -> Self {
        Self { exporter, counters, failing: AtomicBool::new(false) }
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Counted<E> {
    fn export(&self, metrics: &ResourceMetrics) -> impl Future<Output = OTelSdkResult> + Send {
        let export = self.exporter.export(metrics);
        async move {
            let start = clock::now();
            let result = export.await;
            let failing = result.is_err();
            match (&result, self.failing.swap(failing, Ordering::Relaxed)) {
                (Err(error), false) => {
                    tracing::warn!(%error, "cannot export metrics; they are sent again at the next interval");
                }
                (Ok(()), true) => tracing::info!("exporting metrics works again"),
                _ => {}
            }
            self.counters.exported(Signal::Metrics, clock::now().since(start), !failing);
            result
        }
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

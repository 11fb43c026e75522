//! Metric exporters whose pushes are not started yet.

use std::io;
use std::sync::Arc;

use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{MeterProviderBuilder, Temporality};

use super::push::{Push, PushSettings};
use super::reader::SharedReader;
use crate::telemetry::counters::Counters;

/// An exporter whose [`Push`] is not started yet.
pub(in crate::telemetry) struct PendingPush {
    temporality: Temporality,
    start: Box<dyn FnOnce(SharedReader, PushSettings, Arc<Counters>) -> io::Result<Push> + Send>,
}

impl PendingPush {
    pub(in crate::telemetry) fn new(exporter: impl PushMetricExporter) -> Self {
        Self {
            temporality: exporter.temporality(),
            start: Box::new(move |reader, settings, counters| {
                Push::start(exporter, reader, settings, counters)
            }),
        }
    }
}

/// Exporters, each with its reader.
pub(in crate::telemetry) struct PendingPushes(Vec<(PendingPush, SharedReader)>);

impl PendingPushes {
    /// Adds the readers of `pushes` to `meters`. `scraped` is the reader of the scrape, for cumulative sums.
    pub(in crate::telemetry) fn connect(
        pushes: Vec<PendingPush>,
        scraped: Option<SharedReader>,
        mut meters: MeterProviderBuilder,
        counters: &Arc<Counters>,
    ) -> (Self, MeterProviderBuilder) {
        let mut cumulative = scraped;
        if let Some(reader) = &cumulative {
            meters = meters.with_reader(reader.clone());
        }
        let mut connected = Vec::with_capacity(pushes.len());
        for push in pushes {
            let shared = cumulative.clone().filter(|_| push.temporality == Temporality::Cumulative);
            let reader = shared.unwrap_or_else(|| SharedReader::of(push.temporality, counters));
            let known = cumulative.as_ref().is_some_and(|cumulative| Arc::ptr_eq(&cumulative.0, &reader.0));
            if !known {
                meters = std::mem::take(&mut meters).with_reader(reader.clone());
            }
            if push.temporality == Temporality::Cumulative {
                cumulative = Some(reader.clone());
            }
            connected.push((push, reader));
        }
        (Self(connected), meters)
    }

    /// Starts to push. The readers must be registered with a provider before.
    pub(in crate::telemetry) fn start(
        self,
        settings: PushSettings,
        counters: &Arc<Counters>,
    ) -> io::Result<Vec<Arc<Push>>> {
        self.0
            .into_iter()
            .map(|(push, reader)| Ok(Arc::new((push.start)(reader, settings, Arc::clone(counters))?)))
            .collect()
    }
}

//! Exporters that metrics are pushed to, and the reader that each of them asks.

use std::io;
use std::sync::Arc;

use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{MeterProviderBuilder, Temporality};

use super::push::{Push, PushSettings};
use super::reader::Shared;
use crate::telemetry::counters::Counters;

/// An exporter that is sent metrics at intervals, not started yet.
pub(in crate::telemetry) struct Outlet {
    temporality: Temporality,
    start: Box<dyn FnOnce(Shared, PushSettings, Arc<Counters>) -> io::Result<Push> + Send>,
}

impl Outlet {
    pub(in crate::telemetry) fn new(exporter: impl PushMetricExporter) -> Self {
        Self {
            temporality: exporter.temporality(),
            start: Box::new(move |reader, settings, counters| {
                Push::start(exporter, reader, settings, counters)
            }),
        }
    }
}

/// Exporters, each with the reader that it asks.
pub(in crate::telemetry) struct Outlets(Vec<(Outlet, Shared)>);

impl Outlets {
    /// Adds the readers that `outlets` need to `meters`; `scraped` is the one that there is already for totals.
    pub(in crate::telemetry) fn connect(
        outlets: Vec<Outlet>,
        scraped: Option<Shared>,
        mut meters: MeterProviderBuilder,
        counters: &Arc<Counters>,
    ) -> (Self, MeterProviderBuilder) {
        let mut totals = scraped;
        if let Some(reader) = &totals {
            meters = meters.with_reader(reader.clone());
        }
        let mut connected = Vec::with_capacity(outlets.len());
        for outlet in outlets {
            let common = totals.clone().filter(|_| outlet.temporality == Temporality::Cumulative);
            let reader = common.unwrap_or_else(|| Shared::of(outlet.temporality, counters));
            let known = totals.as_ref().is_some_and(|totals| Arc::ptr_eq(&totals.0, &reader.0));
            if !known {
                meters = std::mem::take(&mut meters).with_reader(reader.clone());
            }
            if outlet.temporality == Temporality::Cumulative {
                totals = Some(reader.clone());
            }
            connected.push((outlet, reader));
        }
        (Self(connected), meters)
    }

    /// Starts to send, once the readers have their provider.
    pub(in crate::telemetry) fn start(
        self,
        settings: PushSettings,
        counters: &Arc<Counters>,
    ) -> io::Result<Vec<Arc<Push>>> {
        self.0
            .into_iter()
            .map(|(outlet, reader)| Ok(Arc::new((outlet.start)(reader, settings, Arc::clone(counters))?)))
            .collect()
    }
}

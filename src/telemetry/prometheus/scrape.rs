//! Reads the metrics of a pipeline when a scraper asks.

use std::fmt;
use std::sync::Arc;

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;

use super::collisions::Collisions;
use super::plan::Plan;
use super::text::Format;
use crate::signal::Book;
use crate::telemetry::counters::Counters;
use crate::telemetry::metrics::Shared;

/// The metrics of a pipeline, read when someone asks.
#[derive(Clone)]
pub(in crate::telemetry) struct Scrape {
    reader: Shared,
    /// The scope of the metrics of this crate.
    own: InstrumentationScope,
    /// What to write exemplars into.
    pub(in crate::telemetry) exemplars: Arc<Book>,
    collisions: Arc<Collisions>,
}

impl Scrape {
    pub(in crate::telemetry) fn new(
        reader: Shared,
        own: InstrumentationScope,
        counters: &Arc<Counters>,
    ) -> Self {
        Self { reader, own, exemplars: Arc::default(), collisions: Arc::new(Collisions::new(counters)) }
    }

    /// In the format of Prometheus.
    pub(in crate::telemetry) fn text(&self) -> String {
        self.plan().text(Format::Prometheus)
    }

    /// In the format of OpenMetrics.
    pub(in crate::telemetry) fn openmetrics(&self) -> String {
        self.plan().text(Format::OpenMetrics)
    }

    fn plan(&self) -> Plan {
        let mut metrics = ResourceMetrics::default();
        if let Err(error) = self.reader.collect(&mut metrics) {
            // As after a shutdown.
            tracing::warn!(%error, "cannot read metrics for prometheus");
            return Plan::default();
        }
        let mut plan = Plan::new(&metrics, &self.own, &self.exemplars);
        self.collisions.tell(std::mem::take(&mut plan.collisions));
        plan
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

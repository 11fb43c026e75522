//! Reads the metrics of a pipeline when a scraper asks.

use std::fmt;
use std::sync::Arc;

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;

use super::collisions::Collisions;
use super::plan::Plan;
use super::text::Format;
use crate::signal::ExemplarRegistry;
use crate::telemetry::counters::Counters;
use crate::telemetry::metrics::SharedReader;

/// Reads the metrics of a pipeline for each scrape.
#[derive(Clone)]
pub(in crate::telemetry) struct Scrape {
    reader: SharedReader,
    /// The scope of the metrics of this crate.
    own: InstrumentationScope,
    /// Where the pipeline writes exemplars.
    pub(in crate::telemetry) exemplars: Arc<ExemplarRegistry>,
    collisions: Arc<Collisions>,
}

impl Scrape {
    pub(in crate::telemetry) fn new(
        reader: SharedReader,
        own: InstrumentationScope,
        counters: &Arc<Counters>,
    ) -> Self {
        Self { reader, own, exemplars: Arc::default(), collisions: Arc::new(Collisions::new(counters)) }
    }

    /// The metrics in the text format of Prometheus.
    pub(in crate::telemetry) fn text(&self) -> String {
        self.plan().text(Format::Prometheus)
    }

    /// The metrics in the text format of OpenMetrics.
    pub(in crate::telemetry) fn openmetrics(&self) -> String {
        self.plan().text(Format::OpenMetrics)
    }

    fn plan(&self) -> Plan {
        let mut metrics = ResourceMetrics::default();
        if let Err(error) = self.reader.collect(&mut metrics) {
            // Such as after a shutdown.
            tracing::warn!(%error, "cannot read metrics for Prometheus; the scrape is empty");
            return Plan::default();
        }
        let mut plan = Plan::new(&metrics, &self.own, &self.exemplars);
        self.collisions.report(std::mem::take(&mut plan.collisions));
        plan
    }
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

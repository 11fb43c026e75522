//! What a Prometheus scrape gets.
//!
//! Instruments come from anywhere, and each names its own. Their names, kinds, units and attributes must become families,
//! samples and labels that a scraper can read: one that finds a series twice, or a type, may refuse all of a scrape. So a
//! [`Plan`] settles the names first, once for both formats, and then it is written.
//!
//! | what is the same for Prometheus | what is exposed |
//! |---|---|
//! | names of families, or of what belongs to them (`x_count`) | Longer names for all: the kind (`current`, `net`, `cumulative`, `distribution`) before the unit, and a digest where that is not enough. Metrics of this crate keep theirs. |
//! | an instrument in several scopes | One family, with `otel_scope_name` and `otel_scope_version`. |
//! | instruments of one scope that differ in what a name does not tell | One family, with `otel_stream`. |
//! | attributes of one point | One label, with the values joined by `;`. |
//! | an attribute and a reserved label (`le`, `job`) | `exported_` before the attribute. |
//! | attributes of several points | The labels, with `otel_attributes`. |
//! | descriptions of a family | The first. |
//!
//! Rules and labels of scopes are those of the OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility".
//! The exporter `opentelemetry-prometheus` (0.33.1) drops what collides in kind, and writes twice what collides in name.

mod collisions;
mod labels;
mod names;
mod plan;
mod points;
#[cfg(feature = "http")]
mod service;
mod streams;
mod text;

use std::fmt;
use std::sync::Arc;

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;

pub(super) use self::collisions::Collided;
use self::collisions::Collisions;
use self::plan::Plan;
#[cfg(feature = "http")]
pub use self::service::PrometheusService;
use self::text::Format;
use super::counters::Counters;
use super::metrics::Shared;
use crate::signal::ExemplarRegistry;

/// The metrics of a pipeline, read when someone asks.
#[derive(Clone)]
pub(super) struct Scrape {
    reader: Shared,
    /// The scope of the metrics of this crate.
    own: InstrumentationScope,
    /// What to write exemplars into.
    pub(super) exemplars: Arc<ExemplarRegistry>,
    collisions: Arc<Collisions>,
}

impl Scrape {
    pub(super) fn new(reader: Shared, own: InstrumentationScope, counters: &Arc<Counters>) -> Self {
        Self { reader, own, exemplars: Arc::default(), collisions: Arc::new(Collisions::new(counters)) }
    }

    /// In the format of Prometheus.
    pub(super) fn text(&self) -> String {
        self.plan().text(Format::Prometheus)
    }

    /// In the format of OpenMetrics.
    pub(super) fn openmetrics(&self) -> String {
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

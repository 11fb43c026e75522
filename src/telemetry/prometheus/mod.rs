//! Metrics as text for Prometheus.
//!
//! Any library may create instruments, with any name, kind, unit and attributes. They become families, samples and labels.
//! A scraper that reads a series or a type twice may reject the whole scrape. So [`Plan`] first gives each family a unique
//! name, for both formats, and is then written as text.
//!
//! | the same in Prometheus | what is exposed |
//! |---|---|
//! | names of two families, or of their samples (`x_count`) | Longer names for both: the kind (`current`, `net`, `cumulative`, `distribution`) before the unit, and a digest where that is not enough. Metrics of this crate keep their names. |
//! | one instrument in several scopes | One family, with `otel_scope_name` and `otel_scope_version`. |
//! | instruments of one scope and name that differ otherwise, such as in the description or the number type | One family, with `otel_stream`. |
//! | two attributes of one point | One label, with the values joined by `;`. |
//! | an attribute and a reserved label (`le`, `job`) | The attribute gets the prefix `exported_`. |
//! | all labels of two points | The same labels, plus `otel_attributes`. |
//! | two descriptions of a family | The first. |
//!
//! The rules and the labels of scopes are those of the OpenTelemetry specification, "Prometheus and OpenMetrics
//! Compatibility". The exporter `opentelemetry-prometheus` (0.33.1) drops an instrument that collides in kind, and writes
//! one that collides in name twice.

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

pub(super) use self::collisions::CollisionKind;
use self::collisions::Collisions;
use self::plan::Plan;
#[cfg(feature = "http")]
pub use self::service::PrometheusService;
use self::text::Format;
use super::counters::Counters;
use super::metrics::SharedReader;
use crate::signal::Book;

/// Reads the metrics of a pipeline for each scrape.
#[derive(Clone)]
pub(super) struct Scrape {
    reader: SharedReader,
    /// The scope of the metrics of this crate.
    own: InstrumentationScope,
    /// Where the pipeline writes exemplars.
    pub(super) exemplars: Arc<Book>,
    collisions: Arc<Collisions>,
}

impl Scrape {
    pub(super) fn new(reader: SharedReader, own: InstrumentationScope, counters: &Arc<Counters>) -> Self {
        Self { reader, own, exemplars: Arc::default(), collisions: Arc::new(Collisions::new(counters)) }
    }

    /// The metrics in the text format of Prometheus.
    pub(super) fn text(&self) -> String {
        self.plan().text(Format::Prometheus)
    }

    /// The metrics in the text format of OpenMetrics.
    pub(super) fn openmetrics(&self) -> String {
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

//! What a Prometheus scrape gets.
//!
//! Instruments come from anywhere, and each names its own. Their names, kinds, units and attributes must become families,
//! samples and labels that a scraper can read: one that finds a series twice, or a type, may refuse all of a scrape. So a
//! [`Plan`](plan::Plan) settles the names first, once for both formats, and then it is written.
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
mod scrape;
#[cfg(feature = "http")]
mod service;
mod streams;
mod text;

pub(super) use self::scrape::Scrape;
#[cfg(feature = "http")]
pub use self::service::PrometheusService;

//! Metrics as text for Prometheus.
//!
//! Any library may create instruments, with any name, kind, unit and attributes. They become families, samples and labels.
//! A scraper that reads a series or a type twice may reject the whole scrape. So [`Plan`](plan::Plan) first gives each family a unique
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
//!
//! Start with `scrape.rs`, then `plan.rs`.

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

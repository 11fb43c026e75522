//! Traces, metrics and logs from the `tracing` spans and events of a service.
//!
//! A `tracing` span holds what a trace, a metric and a health score need: the operation, its parent, its duration and
//! whether it failed. The [`SpanLayer`] makes all three from each span. A span is exported only if its trace is sampled. The
//! metric `campanile.span.duration` and the vital signs of the component count every span, because a rate of sampled spans
//! is wrong.
//!
//! [`Telemetry`] is the pipeline: exporters, providers and console logs. A collector that is down or slow never blocks the
//! service. Lost items are counted (`campanile.telemetry.*`).
//!
//! To read the code, start with `span_layer.rs`, the way of a span, then `core.rs`, the state that it works on. `build.rs`
//! starts a pipeline.
//!
//! # Example
//! ```
//! use std::time::Duration;
//!
//! use campanile::Telemetry;
//!
//! #[tracing::instrument(fields(component = "orders"), err)]
//! fn order(id: u32) -> Result<(), std::fmt::Error> {
//!     if id % 2 == 0 { Ok(()) } else { Err(std::fmt::Error) }
//! }
//!
//! let telemetry = Telemetry::builder("checkout").install()?;
//! let _ = (order(1), order(2));
//! telemetry.shutdown(Duration::from_secs(5));
//! # Ok::<(), campanile::telemetry::TelemetryError>(())
//! ```

mod activation;
mod adapters;
mod batch;
mod build;
mod builder;
mod console;
mod console_fields;
mod console_ids;
mod context;
mod core;
mod correlation;
mod counters;
mod error;
mod error_type;
mod event_component;
mod events;
#[cfg(feature = "http")]
mod exchange;
#[cfg(feature = "otlp")]
mod export;
mod export_thread;
mod exporters;
mod field_value;
mod fields;
mod filter;
mod handed_over;
mod hasher;
mod jobs;
mod limits;
mod logs;
mod metrics;
mod origin;
mod otlp;
mod pipeline;
#[cfg(feature = "prometheus")]
mod prometheus;
mod propagation;
mod red;
mod resolve;
mod resource;
mod sampling;
mod secrets;
mod selection;
mod self_metrics;
mod settings;
mod shutdown;
mod size;
mod span_layer;
mod span_request;
mod spans;
mod status;
mod suppress;
mod targets;
mod variables;

pub use batch::BatchSettings;
pub use builder::TelemetryBuilder;
pub use console::Console;
pub use context::{SpanExt, current_context};
pub use correlation::CorrelationId;
pub use error::TelemetryError;
#[cfg(feature = "hub")]
pub(crate) use error_type::kind_name;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use exchange::{ClientSpanLayer, ClientSpans, ServerSpanLayer, ServerSpans, UrlTemplate};
pub use limits::SpanLimits;
pub use logs::LogSettings;
pub use metrics::Meters;
pub use otlp::{OtlpCompression, OtlpProtocol, OtlpSettings};
pub use pipeline::Telemetry;
#[cfg(all(feature = "http", feature = "prometheus"))]
pub use prometheus::PrometheusService;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use propagation::Correlation;
pub use propagation::propagator;
pub use sampling::{Sampling, SamplingRule, TailSampling};
pub use settings::TelemetrySettings;
pub use span_layer::SpanLayer;
pub use variables::{UNREAD_VARIABLES, VARIABLES, Variable};

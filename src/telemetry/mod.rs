//! Traces, metrics and logs in one call, from the spans that are there already.
//!
//! A service has `tracing` spans for its logs. They say everything that a trace, a metric and a health score
//! need: what was called, within what, for how long, and whether it failed. So the [`SpanLayer`] makes all
//! three from each of them. A trace span only if it is sampled; the metrics `campanile.span.duration` and the
//! vital signs of its component always, because a rate that sampling thins out is no rate.
//!
//! [`Telemetry`] is the pipeline behind it: exporters, providers, console logs. What it sends to may be dead or
//! slow; that costs a counter (`campanile.telemetry.*`), never a stall.
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
mod events;
#[cfg(feature = "otlp")]
mod export;
mod export_thread;
mod exporters;
mod field_value;
mod fields;
mod filter;
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
mod variables;

pub use batch::BatchSettings;
pub use builder::TelemetryBuilder;
pub use console::Console;
pub use context::{SpanExt, current_context};
pub use correlation::CorrelationId;
pub use error::TelemetryError;
pub use limits::SpanLimits;
pub use logs::LogSettings;
pub use metrics::Meters;
pub use otlp::{OtlpCompression, OtlpProtocol, OtlpSettings};
pub use pipeline::Telemetry;
#[cfg(all(feature = "http", feature = "prometheus"))]
pub use prometheus::PrometheusService;
pub use propagation::propagator;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use propagation::{HttpCorrelation, HttpCorrelationLayer, http_correlation_layer};
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub use propagation::{
    HttpInjection, HttpInjectionLayer, HttpPropagation, HttpPropagationLayer, http_injection_layer,
    http_propagation_layer,
};
pub use sampling::{Sampling, SamplingRule, TailSampling};
pub use settings::TelemetrySettings;
pub use span_layer::SpanLayer;
pub use variables::{UNREAD_VARIABLES, VARIABLES, Variable};

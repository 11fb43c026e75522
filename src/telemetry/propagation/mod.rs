//! Trace context and baggage across processes.
//!
//! A service that drops the headers, or reads another format than its callers write, splits a trace in two. So these layers need
//! no configuration: they use the formats of the process (`OTEL_PROPAGATORS`: `tracecontext`, `baggage`, `b3`, `b3multi`),
//! and count ignored headers in a metric.
//!
//! Start with `server.rs`, `client.rs` or `correlation.rs`, the layers. `formats.rs` reads and writes the headers for them.

mod b3;
mod baggage;
mod carrier;
#[cfg(feature = "http")]
mod client;
#[cfg(feature = "http")]
mod correlation;
mod formats;
mod ignored;
#[cfg(feature = "http")]
mod server;
mod trace_context;

#[cfg(feature = "http")]
pub use client::{HttpInjection, HttpInjectionLayer, http_injection_layer};
#[cfg(feature = "http")]
pub use correlation::{HttpCorrelation, HttpCorrelationLayer, http_correlation_layer};
pub use formats::propagator;
pub(super) use formats::{Format, Formats, Propagator, from_variables, set_installed};
#[cfg(feature = "http")]
pub use server::{HttpPropagation, HttpPropagationLayer, http_propagation_layer};

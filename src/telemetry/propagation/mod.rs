//! Trace context and baggage across processes.
//!
//! A trace is worth as much as it is whole: one service that drops the headers, or reads a format that its callers do
//! not write, cuts it in two. So the layers here need no configuration, they read and write what the process has
//! chosen (`OTEL_PROPAGATORS`: `tracecontext`, `baggage`, `b3`, `b3multi`), and what they had to ignore is a metric.

mod b3;
mod baggage;
mod carrier;
#[cfg(feature = "http")]
mod client;
mod formats;
pub(super) mod ignored;
#[cfg(feature = "http")]
mod server;
mod trace_context;

#[cfg(feature = "http")]
pub use client::{HttpInjection, HttpInjectionLayer, http_injection_layer};
pub use formats::propagator;
pub(super) use formats::{Formats, Propagator, choose, from_variables};
#[cfg(feature = "http")]
pub use server::{HttpPropagation, HttpPropagationFuture, HttpPropagationLayer, http_propagation_layer};

//! Trace context and baggage across processes.
//!
//! A service that drops the headers, or reads another format than its callers write, splits a trace in two. So the layers of
//! requests need no configuration: they use the formats of the process (`OTEL_PROPAGATORS`: `tracecontext`, `baggage`, `b3`,
//! `b3multi`), and count ignored headers in a metric.
//!
//! Start with `exchanged.rs`, what the layers use. `formats.rs` reads and writes the headers for them, and `correlation.rs`
//! reads the correlation id.

mod b3;
mod baggage;
mod carrier;
#[cfg(feature = "http")]
mod correlation;
#[cfg(feature = "http")]
mod exchanged;
mod formats;
mod ignored;
mod trace_context;

#[cfg(feature = "http")]
pub use correlation::Correlation;
#[cfg(feature = "http")]
pub(super) use correlation::{X_REQUEST_ID, header};
#[cfg(feature = "http")]
pub(super) use exchanged::{Exchanged, SharedPropagator};
pub use formats::propagator;
pub(super) use formats::{Format, Formats, Propagator, from_variables};

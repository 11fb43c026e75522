//! Traces, metrics and logs from spans.

#![cfg(feature = "telemetry")]
#![allow(clippy::disallowed_types)] // A lock that is poisoned fails the test, as it should.

mod support;

mod console;
#[cfg(feature = "http")]
mod correlation;
#[cfg(feature = "prometheus")]
mod exemplars;
mod export;
mod logs;
mod metrics;
mod parents;
#[cfg(feature = "http")]
mod propagation;
#[cfg(feature = "prometheus")]
mod red;
mod redaction;
mod reentrance;
mod sampling;
mod scenarios;
mod spans;
mod trees;
mod variables;

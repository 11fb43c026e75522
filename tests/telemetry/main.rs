//! Traces, metrics and logs from spans.

#![cfg(feature = "telemetry")]

mod support;

mod console;
mod export;
mod parents;
#[cfg(feature = "http")]
mod propagation;
#[cfg(feature = "prometheus")]
mod red;
mod reentrance;
mod spans;
mod variables;

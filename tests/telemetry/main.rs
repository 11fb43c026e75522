//! Traces, metrics and logs from spans.

#![cfg(feature = "telemetry")]
#![allow(clippy::disallowed_types)] // A lock that is poisoned fails the test, as it should.

mod support;

mod carriers;
mod console;
#[cfg(feature = "http")]
mod correlation;
#[cfg(all(feature = "otlp-grpc", feature = "prometheus"))]
mod each_variable;
#[cfg(feature = "prometheus")]
mod exemplars;
mod export;
mod hostile;
mod logs;
#[cfg(feature = "prometheus")]
mod metrics;
#[cfg(all(feature = "otlp-grpc", feature = "prometheus"))]
mod otlp;
mod parents;
#[cfg(feature = "http")]
mod propagation;
#[cfg(feature = "prometheus")]
mod red;
mod redaction;
mod reentrance;
mod sampling;
mod scenarios;
#[cfg(all(feature = "otlp-grpc", feature = "prometheus"))]
mod scripted;
mod spans;
mod trees;
mod variables;

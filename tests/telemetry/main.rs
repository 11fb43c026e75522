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
mod exceptions;
#[cfg(feature = "axum")]
mod exchange;
#[cfg(feature = "prometheus")]
mod exemplars;
mod export;
#[cfg(feature = "prometheus")]
mod exposition;
#[cfg(all(campanile_real_servers, feature = "full"))]
mod exposition_real;
#[cfg(feature = "prometheus")]
#[path = "../support/exposition.rs"]
mod expositions;
#[cfg(all(feature = "http", feature = "prometheus"))]
mod headers;
mod hostile;
mod log_crate;
mod logs;
#[path = "../support/long.rs"]
mod long;
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
mod registries;
mod sampling;
mod scenarios;
#[cfg(all(feature = "otlp-grpc", feature = "prometheus"))]
mod scripted;
#[cfg(all(campanile_real_servers, feature = "full"))]
#[path = "../support/mod.rs"]
mod servers;
#[cfg(all(feature = "otlp-grpc", feature = "prometheus"))]
mod sizes;
mod spans;
mod trees;
mod values;
mod variables;

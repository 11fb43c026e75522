//! Health, seen from outside.
//!
//! Breakers are known to the whole process, so each test has names of its own and looks at nobody else's.
#![cfg(feature = "telemetry")]

mod components;
mod hysteresis;
#[cfg(feature = "http")]
mod probes;
mod recorder;
mod root_cause;
mod settings;
mod spans;

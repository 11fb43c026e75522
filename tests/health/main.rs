//! Health, seen from outside.
//!
//! Breakers are known to the whole process, so each test has names of its own and looks at nobody else's.
#![cfg(feature = "telemetry")]

mod checks;
mod components;
#[cfg(feature = "http")]
mod probes;
mod settings;
mod spans;

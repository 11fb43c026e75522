//! Health, seen from outside.
//!
//! Breakers are known to the whole process, so each test has names of its own and looks at nobody else's.
#![cfg(feature = "telemetry")]
#![allow(clippy::disallowed_types)] // The library's own mutex is not public.

mod components;
mod healing;
#[cfg(unix)]
mod healing_commands;
#[cfg(feature = "http")]
mod probes;
mod settings;
mod spans;

//! Health through its public API.
//!
//! Breakers are visible in the whole process, so each test uses its own names and ignores all others.
#![cfg(feature = "telemetry")]
#![allow(clippy::disallowed_types)] // A poisoned lock fails the test, as it should.

mod checks;
mod checks_kinds;
mod checks_seen;
mod checks_threads;
mod components;
mod day;
mod healing;
#[cfg(unix)]
mod healing_commands;
mod healing_restarts;
mod hysteresis;
mod outlook;
mod overview;
#[cfg(feature = "http")]
mod probes;
#[cfg(feature = "http")]
mod probes_flood;
#[cfg(feature = "http")]
mod probes_startup;
mod recorder;
mod root_cause;
mod seldom;
mod settings;
mod spans;
mod standstill;

/// Whether `holds` becomes true. The snapshot of another test may keep a dropped breaker alive for a moment.
fn eventually(holds: impl Fn() -> bool) -> bool {
    (0..100_000).any(|_| {
        std::thread::yield_now();
        holds()
    })
}

//! Health, seen from outside.
//!
//! Breakers are known to the whole process, so each test has names of its own and looks at nobody else's.
#![cfg(feature = "telemetry")]
#![allow(clippy::disallowed_types)] // A lock that is poisoned fails the test, as it should.

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
#[cfg(feature = "http")]
mod probes;
#[cfg(feature = "http")]
mod probes_drain;
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

/// Whether it comes to that. A look of another test may hold for a moment longer what this one has let go.
fn comes_to(holds: impl Fn() -> bool) -> bool {
    (0..100_000).any(|_| {
        std::thread::yield_now();
        holds()
    })
}

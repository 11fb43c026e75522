//! What health costs: `cargo bench --bench health --features http`.

#![allow(clippy::disallowed_methods)] // A bench reads the real clock.

#[path = "health/probes.rs"]
mod probes;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Without the flag of `cargo bench` it is a test, that it runs at all.
    probes::run(std::env::args().any(|argument| argument == "--bench"))
}

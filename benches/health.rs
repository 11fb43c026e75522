//! The cost of health: `cargo bench --bench health --features http`. Run a part with `-- figures`, `-- checks` or
//! `-- probes`.

#![allow(unsafe_code)] // `GlobalAlloc` needs it. The library forbids unsafe code.
#![allow(clippy::disallowed_methods)] // A bench reads the real clock.

#[path = "health/base.rs"]
mod base;
#[path = "health/checks.rs"]
mod checks;
#[path = "health/figures.rs"]
mod figures;
#[path = "health/prediction.rs"]
mod health;
#[path = "health/probes.rs"]
mod probes;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Without the flag that `cargo bench` passes, this only tests that the bench runs.
    let (flags, parts): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let long = flags.iter().any(|flag| flag == "--bench");
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if wanted("figures") {
        figures::run(long);
        health::run(long);
    }
    if wanted("checks") {
        checks::run(long)?;
    }
    if wanted("probes") {
        probes::run(long)?;
    }
    Ok(())
}

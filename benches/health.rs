//! What health costs: `cargo bench --bench health --features http`; `-- figures`, `-- checks` or `-- probes` for a part.

#![allow(unsafe_code)] // An allocator is unsafe by its nature; the library forbids it.
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
    // Without the flag of `cargo bench` it is a test, that it runs at all.
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

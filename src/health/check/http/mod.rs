//! Checks of HTTP endpoints. `check.rs` makes and runs them.

mod check;
mod expectation;
mod method;
mod settings;
pub(crate) mod status_ranges;

pub use check::HttpCheck;
pub use settings::HttpCheckSettings;

//! Where a program meets what is outside of it: its listeners and signals, and the HTTP clients of other crates.
//!
//! Start with `serve/mod.rs`.

#[cfg(feature = "reqwest")]
pub mod reqwest;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(any(feature = "hub", feature = "reqwest"))]
pub(crate) mod stack;

//! (to come)

#[cfg(feature = "http")]
mod replay;

#[cfg(feature = "http")]
#[allow(unused_imports)] // Until dead letters use it.
pub(crate) use replay::Captured;
#[cfg(feature = "http")]
pub use replay::{DEFAULT_CAP, ReplayBody};

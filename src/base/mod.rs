//! The base modules. All other modules may use them, and they use none of the others.
//!
//! Start with [`outcome`], which decides whether a call failed, and [`error`], the errors that callers get. [`backoff`]
//! computes delays, `window` counts calls, `clock` is the only clock, and [`redact`] removes secrets.

#[macro_use]
mod macros;

pub mod backoff;
pub(crate) mod clock;
#[cfg(feature = "http")]
pub(crate) mod conventions;
pub(crate) mod cut;
pub(crate) mod duration;
pub mod error;
pub(crate) mod moment;
pub mod outcome;
pub(crate) mod panics;
pub(crate) mod per_thread;
#[cfg(any(feature = "dead-letters", feature = "telemetry"))]
pub mod redact;
pub(crate) mod registry;
pub(crate) mod sketch;
pub(crate) mod sync;
#[cfg(any(feature = "redis", feature = "telemetry"))]
pub(crate) mod tls;
#[cfg(any(feature = "dead-letters", feature = "telemetry"))]
pub(crate) mod unique;
pub(crate) mod window;

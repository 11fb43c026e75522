//! The vocabulary: what every other module may use, and what uses none of them.
//!
//! Start with [`outcome`], which decides what failed, and [`error`], which holds what callers get. [`backoff`] computes
//! delays, [`window`](Window) counts calls, `clock` is the only clock, and [`redact`] takes secrets out.

#[macro_use]
mod macros;

pub mod backoff;
pub(crate) mod clock;
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

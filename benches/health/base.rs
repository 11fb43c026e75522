//! The parts of `src/base` that the settings of prediction use.

#[path = "../../src/base/duration.rs"]
#[allow(dead_code)]
pub(crate) mod duration;
#[path = "error.rs"]
pub(crate) mod error;

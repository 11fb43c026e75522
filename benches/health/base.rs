//! What the settings of prediction need of `src/base`.

#[path = "../../src/base/duration.rs"]
#[allow(dead_code)]
pub(crate) mod duration;
#[path = "error.rs"]
pub(crate) mod error;

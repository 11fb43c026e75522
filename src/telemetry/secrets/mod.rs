//! What must not be told, taken out of everything that the pipeline hands on.
//!
//! What the name of a field means is decided once: it is static, and each thread remembers those it met last.

mod native;
mod redact;
mod values;

pub(super) use self::redact::Secrets;
pub(super) use self::values::Values;

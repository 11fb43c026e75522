//! Redaction of everything that the pipeline exports or prints.
//!
//! The name of a field decides how its value is redacted. The names of `tracing` fields are static, so each thread caches the
//! decision.
//!
//! Start with `redact.rs`.

mod native;
mod redact;
mod values;

pub(super) use self::redact::Secrets;
pub(super) use self::values::Values;

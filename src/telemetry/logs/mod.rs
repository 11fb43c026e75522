//! Events as log records.
//!
//! Every event becomes a log record with the ids of its span, if it has one. If the span is sampled, the event is also added
//! to the span. OpenTelemetry's appender for `tracing` (0.33.1) takes ids from the active context only, has no limits and
//! no redaction, and visits the fields a second time.
//!
//! Start with `emit.rs`.

mod emit;
mod entry;
mod native;
mod settings;

pub(super) use self::emit::Logs;
pub(super) use self::entry::{Entry, SpanIds};
pub use self::settings::LogSettings;

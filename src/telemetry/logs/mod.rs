//! Events as log records.
//!
//! An event inside a span is an event of that span, if the span is sampled. It also is a log record, sampled or
//! not, with the ids of the span, and one outside of every span is that alone. The appender that OpenTelemetry
//! has for `tracing` (0.33.1) takes ids from the active context only, knows no limits and no redaction, and visits the
//! fields anew.

mod emit;
mod entry;
mod native;
mod settings;

pub(super) use self::emit::Logs;
pub(super) use self::entry::{Entry, Ids};
pub use self::settings::LogSettings;

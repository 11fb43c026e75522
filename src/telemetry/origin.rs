//! The origin of an event: its target and its place in the source.
//!
//! It is that of the callsite, except for an event of the `log` crate. `tracing-log` has one callsite for each level, with the
//! target `log`, and puts the target, module, file and line of the call into fields. These replace those of the callsite, and
//! the fields are not shown.

use opentelemetry::Value;
use tracing::field::Field;
use tracing::{Event, Metadata};

use super::field_value::{FieldValue, VisitField, visits};
use super::secrets::Secrets;

/// The maximum length of a text of a call, in bytes. A target may be any text.
const LONGEST: usize = 1_024;

/// Whether events of this callsite come from the `log` crate.
#[inline]
pub(super) fn is_log(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "log"
        && metadata.name() == "log event"
        && metadata.fields().field("log.target").is_some()
}

/// Target and place of a call of the `log` crate.
#[derive(Clone, Debug, Default)]
pub(super) struct LogCall {
    target: Option<String>,
    module: Option<String>,
    file: Option<String>,
    line: Option<u32>,
}

impl LogCall {
    /// Takes a field of an event from the `log` crate. Returns `false` if the field does not describe the call.
    pub(super) fn take(&mut self, name: &'static str, value: FieldValue<'_>, secrets: &Secrets) -> bool {
        let part = match name {
            "log.target" => &mut self.target,
            "log.module_path" => &mut self.module,
            "log.file" => &mut self.file,
            "log.line" => {
                if let FieldValue::Integer(line) = value {
                    self.line = u32::try_from(line).ok();
                }
                return true;
            }
            _ => return false,
        };
        *part = Some(secrets.text(name, &value.text(LONGEST)).into_owned());
        true
    }
}

impl LogCall {
    /// The approximate size in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.target, &self.module, &self.file].into_iter().flatten();
        size_of::<Self>() + texts.map(String::len).sum::<usize>()
    }
}

/// The target of an event and its place in the source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub(super) target: &'a str,
    pub(super) module: &'a str,
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<u32>,
}

impl<'a> Origin<'a> {
    pub(super) fn new(metadata: &'a Metadata<'_>, call: Option<&'a LogCall>) -> Self {
        let (target, module, file, line) = match call {
            None => (metadata.target(), metadata.module_path(), metadata.file(), metadata.line()),
            Some(call) => {
                let target = call.target.as_deref().unwrap_or(metadata.target());
                (target, call.module.as_deref(), call.file.as_deref(), call.line)
            }
        };
        Self { target, module: module.unwrap_or(target), file, line }
    }
}

impl Origin<'_> {
    /// Adds the attributes `code.*`.
    pub(super) fn code_attributes(&self, mut add: impl FnMut(&'static str, Value)) {
        add("code.module.name", self.module.to_owned().into());
        if let Some(file) = self.file {
            add("code.file.path", file.to_owned().into());
        }
        if let Some(line) = self.line {
            add("code.line.number", i64::from(line).into());
        }
    }
}

/// Reads the [`LogCall`] of an event.
struct LogCallVisitor<'a> {
    call: LogCall,
    secrets: &'a Secrets,
}

impl VisitField for LogCallVisitor<'_> {
    fn visit(&mut self, field: &Field, value: FieldValue<'_>) {
        self.call.take(field.name(), value, self.secrets);
    }
}

/// Whether the target of an event from the `log` crate is that of the pipeline itself.
struct OwnTargetVisitor(bool);

impl VisitField for OwnTargetVisitor {
    fn visit(&mut self, field: &Field, value: FieldValue<'_>) {
        if let ("log.target", FieldValue::Text(target)) = (field.name(), value) {
            self.0 = is_own_target(target);
        }
    }
}

visits!(LogCallVisitor<'_>, OwnTargetVisitor);

/// The call of an event from the `log` crate; `None` for other events.
pub(super) fn log_call(event: &Event<'_>, secrets: &Secrets) -> Option<LogCall> {
    is_log(event.metadata()).then(|| {
        let mut visitor = LogCallVisitor { call: LogCall::default(), secrets };
        event.record(&mut visitor);
        visitor.call
    })
}

/// Whether spans and events of this target come from the pipeline itself, and must not enter it.
pub(super) fn is_own_target(target: &str) -> bool {
    target.starts_with("opentelemetry") || target.starts_with("campanile::telemetry")
}

/// Whether an event comes from the pipeline itself, and must not enter it.
#[inline]
pub(super) fn is_own_event(event: &Event<'_>) -> bool {
    let metadata = event.metadata();
    if is_log(metadata) {
        let mut found = OwnTargetVisitor(false);
        event.record(&mut found);
        return found.0;
    }
    is_own_target(metadata.target())
}

//! Formats fields of spans and events for the console, without secrets.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use tracing::dispatcher::with_default;
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Dispatch, Event};
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, FormatFields, Writer};

use super::core::Core;
use super::field_value::{self, FieldValue, VisitField, chain, visits};
use super::secrets::Secrets;
use crate::base::cut::cut;

/// Maximum length of a value in bytes. The user's `Debug` and `Display` may write text without end.
const MAX_VALUE: usize = 64 * 1024;

/// How much of a value is searched for secrets. It is more than is shown, because a truncated secret would not be found.
const MAX_SEARCHED: usize = MAX_VALUE + 1_024;

/// A visitor that passes fields to a sink without their secrets.
struct Redacting<'a, T> {
    secrets: &'a Secrets,
    /// Whether the fields belong to an event of the `log` crate.
    log: bool,
    to: T,
}

/// Writes redacted fields.
trait Sink {
    /// Writes a text. `quoted` says whether it gets quotation marks, as a text value does and a printed one does not.
    fn text(&mut self, field: &Field, text: &str, quoted: bool);

    /// Writes a value other than a text.
    fn value(&mut self, field: &Field, value: FieldValue<'_>);
}

impl<T: Sink> VisitField for Redacting<'_, T> {
    fn visit(&mut self, field: &Field, value: FieldValue<'_>) {
        let name = field_value::name(field);
        if self.log && name.starts_with("log.") {
            return;
        }
        let hidden = match value {
            FieldValue::Integer(value) => self.secrets.number(name, value),
            FieldValue::LargeInteger(value) => self.secrets.hidden(name, &value),
            FieldValue::Float(value) => self.secrets.hidden(name, &value),
            FieldValue::Bool(value) => self.secrets.hidden(name, &value),
            FieldValue::Text(text) => {
                // A message is not quoted. Other texts are, with their control characters escaped.
                return self.to.text(field, &self.secrets.text(name, text), name != "message");
            }
            FieldValue::Debug(_) => Some(value.text(MAX_SEARCHED)),
            FieldValue::Error(error) => Some(chain(MAX_SEARCHED, error, ": ").into()),
        };
        match hidden {
            Some(text) if value.is_text() => {
                self.to.text(field, cut(&self.secrets.text(name, &text), MAX_VALUE), false);
            }
            Some(hidden) => self.to.text(field, &hidden, false),
            None if name == "message" => self.to.text(field, &value.text(MAX_VALUE), false),
            None => self.to.value(field, value),
        }
    }
}

visits!(Redacting<'_, Line<'_>>, Redacting<'_, Object>);

/// Runs `action` without a subscriber.
///
/// `tracing-subscriber` locks the extensions of a span while it adds values to the span's fields. A value whose `Debug`
/// logs would wait for that lock forever. While spans and events begin, `tracing` itself ignores such logs.
fn without_subscriber<R>(action: impl FnOnce() -> R) -> R {
    with_default(&Dispatch::none(), action)
}

// ===== impl HumanFields =====

/// Fields as `name=value` pairs, like those of `tracing-subscriber`.
pub(super) struct HumanFields {
    pub(super) core: Arc<Core>,
}

impl<'w> FormatFields<'w> for HumanFields {
    fn format_fields<R: RecordFields>(&self, out: Writer<'w>, fields: R) -> fmt::Result {
        pairs(&self.core, out, fields, false)
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        // The span layer uses records without values for its own requests.
        if fields.is_empty() {
            return Ok(());
        }
        if !current.fields.is_empty() {
            current.fields.push(' ');
        }
        without_subscriber(|| self.format_fields(current.as_writer(), fields))
    }
}

/// Writes the fields of `event`. `log` says whether it comes from the `log` crate.
pub(super) fn human(core: &Core, out: Writer<'_>, event: &Event<'_>, log: bool) -> fmt::Result {
    pairs(core, out, event, log)
}

fn pairs(core: &Core, out: Writer<'_>, fields: impl RecordFields, log: bool) -> fmt::Result {
    let mut visitor = Redacting { secrets: &core.secrets, log, to: Line(DefaultVisitor::new(out, true)) };
    fields.record(&mut visitor);
    visitor.to.0.finish()
}

/// Writes pairs with the visitor of `tracing-subscriber`.
struct Line<'a>(DefaultVisitor<'a>);

impl Sink for Line<'_> {
    fn text(&mut self, field: &Field, text: &str, quoted: bool) {
        if quoted {
            return self.0.record_str(field, text);
        }
        // Control characters could move the cursor or start a new line. A user named `bob\nERROR …` must not be able to
        // forge a line of the log.
        let text = one_line(text);
        self.0.record_debug(field, &format_args!("{text}"));
    }

    fn value(&mut self, field: &Field, value: FieldValue<'_>) {
        match value {
            // In the format of `Debug`: `1.0` and not `1`.
            FieldValue::Float(value) => self.0.record_f64(field, value),
            value => self.text(field, &value.text(MAX_VALUE), false),
        }
    }
}

/// Escapes the control characters of `text` except tabs.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    let escaped = |c: char| c.is_control() && c != '\t';
    if !text.contains(escaped) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if escaped(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    Cow::Owned(line)
}

// ===== impl JsonFields =====

/// Fields as a JSON object.
pub(super) struct JsonFields {
    pub(super) core: Arc<Core>,
}

/// Adds `fields` to `known`. The last value of a name wins. `log` says whether they belong to an event of the `log` crate.
pub(super) fn json(
    core: &Core,
    known: Map<String, Value>,
    fields: impl RecordFields,
    log: bool,
) -> Map<String, Value> {
    let mut visitor = Redacting { secrets: &core.secrets, log, to: Object(known) };
    fields.record(&mut visitor);
    visitor.to.0
}

/// The fields of a span, without a field `name`: the object of a span has that key already.
fn span_fields(core: &Core, known: Map<String, Value>, fields: impl RecordFields) -> Value {
    let mut fields = json(core, known, fields, false);
    fields.remove("name");
    Value::Object(fields)
}

impl<'w> FormatFields<'w> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut out: Writer<'w>, fields: R) -> fmt::Result {
        write!(out, "{}", span_fields(&self.core, Map::new(), fields))
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        if fields.is_empty() {
            return Ok(());
        }
        let known = serde_json::from_str(&current.fields).unwrap_or_default();
        current.fields = without_subscriber(|| span_fields(&self.core, known, fields)).to_string();
        Ok(())
    }
}

struct Object(Map<String, Value>);

impl Sink for Object {
    fn text(&mut self, field: &Field, text: &str, _: bool) {
        self.0.insert(field_value::name(field).to_owned(), text.into());
    }

    fn value(&mut self, field: &Field, value: FieldValue<'_>) {
        let number = match value {
            FieldValue::Bool(value) => Value::Bool(value),
            FieldValue::Integer(value) => match (i64::try_from(value), u64::try_from(value)) {
                (Ok(value), _) => value.into(),
                (_, Ok(value)) => value.into(),
                _ => return self.text(field, &value.to_string(), false),
            },
            // JSON cannot represent the other numbers.
            FieldValue::Float(value) if value.is_finite() => value.into(),
            value => return self.text(field, &value.text(MAX_VALUE), false),
        };
        self.0.insert(field_value::name(field).to_owned(), number);
    }
}

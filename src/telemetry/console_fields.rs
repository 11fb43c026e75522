//! Fields of spans and events as the console shows them: without secrets.

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

/// Bytes of a value that is printed by code of the user: it may have no end.
const LONGEST: usize = 64 * 1024;

/// So much of it is looked at: what is cut off of a secret would keep it from being found.
const ROOM: usize = LONGEST + 1_024;

/// Hands fields on, without the secrets in them.
struct Clean<'a, T> {
    secrets: &'a Secrets,
    /// Whether the fields are those of an event from the `log` crate.
    log: bool,
    to: T,
}

/// Takes clean values.
trait Sink {
    /// Takes a text, which stood as it is in the code if it is `quoted`.
    fn text(&mut self, field: &Field, text: &str, quoted: bool);

    /// Takes a value that is no text.
    fn value(&mut self, field: &Field, value: FieldValue<'_>);
}

impl<T: Sink> VisitField for Clean<'_, T> {
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
                // A message is shown as it is, and every other text in quotes, with its control characters escaped.
                return self.to.text(field, &self.secrets.text(name, text), name != "message");
            }
            FieldValue::Debug(_) => Some(value.text(ROOM)),
            FieldValue::Error(error) => Some(chain(ROOM, error, ": ").into()),
        };
        match hidden {
            Some(text) if value.is_text() => {
                self.to.text(field, cut(&self.secrets.text(name, &text), LONGEST), false);
            }
            Some(hidden) => self.to.text(field, &hidden, false),
            None if name == "message" => self.to.text(field, &value.text(LONGEST), false),
            None => self.to.value(field, value),
        }
    }
}

visits!(Clean<'_, Line<'_>>, Clean<'_, Object>);

/// Runs `action` on a thread that has no subscriber.
///
/// `tracing-subscriber` locks the extensions of a span while values are added to its fields. A value that logs as it is
/// printed would wait for that lock for ever. What one logs as a span or an event begins is left out by `tracing` itself.
fn unheard<R>(action: impl FnOnce() -> R) -> R {
    with_default(&Dispatch::none(), action)
}

// ===== impl HumanFields =====

/// `name=value` pairs of `tracing-subscriber`.
pub(super) struct HumanFields {
    pub(super) core: Arc<Core>,
}

impl<'w> FormatFields<'w> for HumanFields {
    fn format_fields<R: RecordFields>(&self, out: Writer<'w>, fields: R) -> fmt::Result {
        pairs(&self.core, out, fields, false)
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        // A record without values asks the span layer something.
        if fields.is_empty() {
            return Ok(());
        }
        if !current.fields.is_empty() {
            current.fields.push(' ');
        }
        unheard(|| self.format_fields(current.as_writer(), fields))
    }
}

/// The fields of `event`; `log` if it comes from the `log` crate.
pub(super) fn human(core: &Core, out: Writer<'_>, event: &Event<'_>, log: bool) -> fmt::Result {
    pairs(core, out, event, log)
}

fn pairs(core: &Core, out: Writer<'_>, fields: impl RecordFields, log: bool) -> fmt::Result {
    let mut visitor = Clean { secrets: &core.secrets, log, to: Line(DefaultVisitor::new(out, true)) };
    fields.record(&mut visitor);
    visitor.to.0.finish()
}

/// The visitor of `tracing-subscriber` prints the pairs.
struct Line<'a>(DefaultVisitor<'a>);

impl Sink for Line<'_> {
    fn text(&mut self, field: &Field, text: &str, quoted: bool) {
        if quoted {
            return self.0.record_str(field, text);
        }
        // On a terminal it must neither end the line nor steer the cursor: who logs in as `bob\nERROR …` must not write
        // a line of the log.
        let text = one_line(text);
        self.0.record_debug(field, &format_args!("{text}"));
    }

    fn value(&mut self, field: &Field, value: FieldValue<'_>) {
        match value {
            // As `Debug` prints it: `1.0` and not `1`.
            FieldValue::Float(value) => self.0.record_f64(field, value),
            value => self.text(field, &value.text(LONGEST), false),
        }
    }
}

/// `text` with its control characters escaped, but for tabs.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\t';
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if steers(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    Cow::Owned(line)
}

// ===== impl JsonFields =====

/// Fields as a JSON object.
pub(super) struct JsonFields {
    pub(super) core: Arc<Core>,
}

/// Adds `fields` to `known`; the last value of a name stands. `log` if they are those of an event from the `log` crate.
pub(super) fn json(
    core: &Core,
    known: Map<String, Value>,
    fields: impl RecordFields,
    log: bool,
) -> Map<String, Value> {
    let mut visitor = Clean { secrets: &core.secrets, log, to: Object(known) };
    fields.record(&mut visitor);
    visitor.to.0
}

/// The same without the name that the object of a span has anyway.
fn of_a_span(core: &Core, known: Map<String, Value>, fields: impl RecordFields) -> Value {
    let mut fields = json(core, known, fields, false);
    fields.remove("name");
    Value::Object(fields)
}

impl<'w> FormatFields<'w> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut out: Writer<'w>, fields: R) -> fmt::Result {
        write!(out, "{}", of_a_span(&self.core, Map::new(), fields))
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        if fields.is_empty() {
            return Ok(());
        }
        let known = serde_json::from_str(&current.fields).unwrap_or_default();
        current.fields = unheard(|| of_a_span(&self.core, known, fields)).to_string();
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
            // JSON has no number for the others.
            FieldValue::Float(value) if value.is_finite() => value.into(),
            value => return self.text(field, &value.text(LONGEST), false),
        };
        self.0.insert(field_value::name(field).to_owned(), number);
    }
}

//! Fields of spans and events as the console shows them: without secrets.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::{FormatFields, Writer};

use super::core::Core;
use super::secrets::Secrets;

/// What an error says, and what its causes do, on one line.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}

// ===== impl HumanFields =====

/// `name=value` pairs; texts in quotes, the message first and without a name.
pub(super) struct HumanFields {
    pub(super) core: Arc<Core>,
}

impl<'w> FormatFields<'w> for HumanFields {
    fn format_fields<R: RecordFields>(&self, out: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = HumanVisitor { out, secrets: &self.core.secrets, first: true, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct HumanVisitor<'a, 'w> {
    out: Writer<'w>,
    secrets: &'a Secrets,
    first: bool,
    result: fmt::Result,
}

impl HumanVisitor<'_, '_> {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.result.is_err() {
            return;
        }
        let blank = if std::mem::take(&mut self.first) { "" } else { " " };
        let (italic, dim, plain) =
            if self.out.has_ansi_escapes() { ("\u{1b}[3m", "\u{1b}[2m", "\u{1b}[0m") } else { ("", "", "") };
        self.result = match field.name() {
            "message" => write!(self.out, "{blank}{value}"),
            name => {
                let name = name.strip_prefix("r#").unwrap_or(name);
                write!(self.out, "{blank}{italic}{name}{plain}{dim}={plain}{value}")
            }
        };
    }

    /// Writes what has no secret in it unless its name says so.
    fn plain(&mut self, field: &Field, value: &dyn fmt::Display) {
        match self.secrets.hidden(field.name(), value) {
            Some(hidden) => self.write(field, format_args!("{hidden}")),
            None => self.write(field, format_args!("{value}")),
        }
    }

    fn number(&mut self, field: &Field, value: i128) {
        match self.secrets.number(field.name(), value) {
            Some(hidden) => self.write(field, format_args!("{hidden}")),
            None => self.write(field, format_args!("{value}")),
        }
    }
}

impl Visit for HumanVisitor<'_, '_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.plain(field, &format_args!("{value:?}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let text = self.secrets.text(field.name(), value);
        if field.name() == "message" {
            self.write(field, format_args!("{}", Harmless(&text)));
        } else {
            self.write(field, format_args!("{text:?}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        let text = self.secrets.text(field.name(), &text);
        self.write(field, format_args!("{}", Harmless(&text)));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let text = with_causes(value);
        let text = self.secrets.text(field.name(), &text);
        self.write(field, format_args!("{}", Harmless(&text)));
    }
}

/// A text without the characters that steer a terminal.
struct Harmless<'a>(&'a str);

impl fmt::Display for Harmless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r');
        let mut rest = self.0;
        while let Some(place) = rest.find(steers) {
            f.write_str(&rest[..place])?;
            let mut after = rest[place..].chars();
            if let Some(c) = after.next() {
                write!(f, "{}", c.escape_unicode())?;
            }
            rest = after.as_str();
        }
        f.write_str(rest)
    }
}

// ===== impl JsonFields =====

/// Fields of a span as the inside of a JSON object.
pub(super) struct JsonFields {
    pub(super) core: Arc<Core>,
}

impl<'w> FormatFields<'w> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut out: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = JsonVisitor::new(&self.core.secrets);
        fields.record(&mut visitor);
        let object = Value::Object(visitor.fields).to_string();
        out.write_str(object.strip_prefix('{').and_then(|it| it.strip_suffix('}')).unwrap_or_default())
    }

    fn add_fields(
        &self,
        current: &'w mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        let mut more = FormattedFields::<Self>::new(String::new());
        self.format_fields(more.as_writer(), fields)?;
        if !current.fields.is_empty() && !more.fields.is_empty() {
            current.fields.push(',');
        }
        current.fields.push_str(&more.fields);
        Ok(())
    }
}

/// Gathers fields for a JSON object.
pub(super) struct JsonVisitor<'a> {
    secrets: &'a Secrets,
    pub(super) fields: Map<String, Value>,
}

impl<'a> JsonVisitor<'a> {
    pub(super) fn new(secrets: &'a Secrets) -> Self {
        Self { secrets, fields: Map::new() }
    }

    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.insert(field.name().to_owned(), value.into());
    }

    fn add_or(&mut self, field: &Field, hidden: Option<Cow<'static, str>>, value: impl Into<Value>) {
        match hidden {
            Some(hidden) => self.add(field, hidden.into_owned()),
            None => self.add(field, value),
        }
    }
}

impl Visit for JsonVisitor<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add_or(field, self.secrets.number(field.name(), value.into()), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add_or(field, self.secrets.number(field.name(), value.into()), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add_or(field, self.secrets.hidden(field.name(), &value), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add_or(field, self.secrets.hidden(field.name(), &value), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, self.secrets.text(field.name(), value).into_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_str(field, &with_causes(value));
    }
}

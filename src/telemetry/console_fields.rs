//! Fields of spans and events as the console shows them: without secrets.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, FormatFields, Writer};

use super::core::Core;
use super::secrets::Secrets;
use crate::error::sources;

/// Hands fields on to another visitor, without the secrets in them.
///
/// The formatters of `tracing-subscriber` take no hook for a value, and the trait that they read fields from is sealed;
/// the visitors that they use can be wrapped.
struct Redacting<'a> {
    secrets: &'a Secrets,
    /// Whether control characters are escaped; [`DefaultVisitor`] escapes some, in messages only.
    terminal: bool,
    to: &'a mut dyn Visit,
}

impl Redacting<'_> {
    /// Hands `text` on without quotes. On a terminal it must neither end the line nor steer the cursor: who logs in
    /// as `bob\nERROR …` must not write a line of the log.
    fn plain(&mut self, field: &Field, text: &str) {
        let text = if self.terminal { one_line(text) } else { Cow::Borrowed(text) };
        self.to.record_debug(field, &format_args!("{text}"));
    }

    /// Hands on what `print` writes. The formatter of `tracing-subscriber` holds a lock meanwhile, so a panic ends here.
    fn printed(&mut self, field: &Field, print: impl FnOnce(&mut String) -> fmt::Result) {
        let mut text = String::new();
        let printed = catch_unwind(AssertUnwindSafe(|| print(&mut text)));
        match printed {
            Ok(Ok(())) => {}
            Ok(Err(fmt::Error)) => text += "(it cannot be printed)",
            Err(_) => text += "(it panicked)",
        }
        let text = self.secrets.text(field.name(), &text);
        self.plain(field, &text);
    }

    /// Hands on what hides the value, or what `keep` does.
    fn or(&mut self, field: &Field, hidden: Option<Cow<'_, str>>, keep: impl FnOnce(&mut dyn Visit)) {
        match hidden {
            Some(hidden) => self.plain(field, &hidden),
            None => keep(self.to),
        }
    }
}

impl Visit for Redacting<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.or(field, self.secrets.number(field.name(), value.into()), |to| to.record_i64(field, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.or(field, self.secrets.number(field.name(), value.into()), |to| to.record_u64(field, value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.or(field, self.secrets.hidden(field.name(), &value), |to| to.record_f64(field, value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.or(field, self.secrets.hidden(field.name(), &value), |to| to.record_bool(field, value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let text = self.secrets.text(field.name(), value);
        // A message is shown as it is, and every other text in quotes, with its control characters escaped.
        if field.name() == "message" { self.plain(field, &text) } else { self.to.record_str(field, &text) }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.printed(field, |text| write!(text, "{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.printed(field, |text| {
            write!(text, "{value}")?;
            sources(value).skip(1).try_for_each(|cause| write!(text, ": {cause}"))
        });
    }
}

/// `text` with its control characters escaped, but for tabs.
fn one_line(text: &str) -> Cow<'_, str> {
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

// ===== impl HumanFields =====

/// `name=value` pairs of `tracing-subscriber`.
pub(super) struct HumanFields {
    pub(super) core: Arc<Core>,
}

impl<'w> FormatFields<'w> for HumanFields {
    fn format_fields<R: RecordFields>(&self, out: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = DefaultVisitor::new(out, true);
        fields.record(&mut Redacting { secrets: &self.core.secrets, terminal: true, to: &mut visitor });
        visitor.finish()
    }
}

// ===== impl JsonFields =====

/// Fields as a JSON object.
pub(super) struct JsonFields {
    pub(super) core: Arc<Core>,
}

/// Adds `fields` to `known`; the last value of a name stands.
pub(super) fn json(core: &Core, known: Map<String, Value>, fields: impl RecordFields) -> Map<String, Value> {
    let mut visitor = JsonVisitor(known);
    fields.record(&mut Redacting { secrets: &core.secrets, terminal: false, to: &mut visitor });
    visitor.0
}

/// The same without the name that the object of a span has anyway.
fn of_a_span(core: &Core, known: Map<String, Value>, fields: impl RecordFields) -> Value {
    let mut fields = json(core, known, fields);
    fields.remove("name");
    Value::Object(fields)
}

impl<'w> FormatFields<'w> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut out: Writer<'w>, fields: R) -> fmt::Result {
        write!(out, "{}", of_a_span(&self.core, Map::new(), fields))
    }

    fn add_fields(
        &self,
        current: &'w mut FormattedFields<Self>,
        fields: &tracing::span::Record<'_>,
    ) -> fmt::Result {
        let known = serde_json::from_str(&current.fields).unwrap_or_default();
        current.fields = of_a_span(&self.core, known, fields).to_string();
        Ok(())
    }
}

struct JsonVisitor(Map<String, Value>);

impl JsonVisitor {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for JsonVisitor {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }
}

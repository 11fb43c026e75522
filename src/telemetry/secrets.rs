//! Fields of spans and events, without secrets and no longer than they may be.
//!
//! What the name of a field means is decided once: it is static, and each thread remembers those it met last.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::{self, Write as _};

use opentelemetry::logs::AnyValue;
use opentelemetry::trace::{Event, Status};
use opentelemetry::{Array, Key, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SpanData;

use super::limits::SpanLimits;
use super::variables::Variables;
use crate::error::ConfigError;
use crate::redact::{RedactionSettings, Redactor, Sort, Treatment};
use crate::sync::atomic::{AtomicU64, Ordering};

/// Knows what fields must not say. See the [module](self).
#[derive(Clone, Debug)]
pub(super) struct Secrets {
    /// Tells it apart from all others that ever were.
    id: u64,
    redactor: Redactor,
}

/// What the name of a field says about its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Nothing: the value is searched.
    None,
    /// It is the query of a URL.
    Query,
    Secret(Treatment),
}

/// As a power of two.
const KNOWN: u32 = 7;

/// Which redactor, the address of the name and its length, and what is known.
type Known = (u64, usize, usize, Mark);

thread_local! {
    /// The names that this thread met last.
    static LAST: [Cell<Option<Known>>; 1 << KNOWN] = const { [const { Cell::new(None) }; 1 << KNOWN] };
}

impl Secrets {
    pub(super) fn new(settings: &RedactionSettings, variables: &Variables) -> Result<Self, ConfigError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let redactor = settings.build_with(|name| variables.get(name));
        let redactor = redactor.map_err(|error| error.within("redaction"))?;
        Ok(Self { id: NEXT.fetch_add(1, Ordering::Relaxed), redactor })
    }

    pub(super) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    #[inline]
    fn mark(&self, name: &'static str) -> Mark {
        let (address, length) = (name.as_ptr().addr(), name.len());
        let place = (address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - KNOWN);
        LAST.try_with(|last| {
            let cell = &last[place as usize];
            match cell.get() {
                Some((id, at, of, mark)) if id == self.id && at == address && of == length => mark,
                _ => {
                    let mark = self.meet(name);
                    cell.set(Some((self.id, address, length, mark)));
                    mark
                }
            }
        })
        .unwrap_or_else(|_| self.meet(name))
    }

    #[cold]
    fn meet(&self, name: &str) -> Mark {
        match self.redactor.treatment(name) {
            Treatment::Leave if matches!(name, "url.query" | "http.query") => Mark::Query,
            Treatment::Leave => Mark::None,
            treatment => Mark::Secret(treatment),
        }
    }

    /// The text that goes by `name`.
    #[inline]
    pub(super) fn text<'a>(&self, name: &'static str, text: &'a str) -> Cow<'a, str> {
        match self.mark(name) {
            Mark::None => self.redactor.text(text),
            Mark::Query => self.redactor.query(text),
            Mark::Secret(treatment) => self.hide(treatment, text),
        }
    }

    /// What stands for a value without secrets inside, if its name is that of a secret.
    #[inline]
    pub(super) fn hidden(&self, name: &'static str, value: &dyn fmt::Display) -> Option<Cow<'static, str>> {
        match self.mark(name) {
            Mark::Secret(treatment) => Some(self.redactor.replacement(treatment, &value.to_string())),
            _ => None,
        }
    }

    /// What stands for a number, if that is a secret by its name or the number of a card.
    #[inline]
    pub(super) fn number(&self, name: &'static str, number: i128) -> Option<Cow<'static, str>> {
        match self.mark(name) {
            Mark::Secret(treatment) => Some(self.redactor.replacement(treatment, &number.to_string())),
            _ => self.redactor.number(u64::try_from(number).ok()?),
        }
    }

    fn hide(&self, treatment: Treatment, text: &str) -> Cow<'static, str> {
        match unquoted(text) {
            // Nothing is no secret.
            "" | "None" => Cow::Owned(text.to_owned()),
            text => self.redactor.replacement(treatment, text),
        }
    }
}

// ===== impl Secrets for what is made through the OpenTelemetry API =====

impl Secrets {
    /// Takes the secrets out of a span that was made through the OpenTelemetry API.
    pub(super) fn clean_span(&self, span: &mut SpanData) {
        self.replace(&mut span.name);
        self.clean_attributes(&mut span.attributes);
        for Event { name, attributes, .. } in &mut span.events.events {
            self.replace(name);
            self.clean_attributes(attributes);
        }
        for link in &mut span.links.links {
            self.clean_attributes(&mut link.attributes);
        }
        if let Status::Error { description } = &mut span.status {
            self.replace(description);
        }
    }

    fn replace(&self, text: &mut Cow<'static, str>) {
        if let Some(clean) = self.redactor.redact(text, Sort::Text, &mut |_| ()) {
            *text = Cow::Owned(clean);
        }
    }

    pub(super) fn clean_attributes(&self, attributes: &mut [KeyValue]) {
        for KeyValue { key, value, .. } in attributes {
            // Keys of these may be made while the program runs, so that nobody remembers them.
            let mark = self.meet(key.as_str());
            let clean = match &mut *value {
                Value::Array(Array::String(texts)) => {
                    for text in texts {
                        if let Some(clean) = self.clean_text(mark, text.as_str()) {
                            *text = clean;
                        }
                    }
                    continue;
                }
                Value::String(text) => self.clean_text(mark, text.as_str()),
                value if matches!(mark, Mark::Secret(_)) => self.clean_text(mark, &value.as_str()),
                Value::I64(number) => {
                    let number = u64::try_from(*number).ok();
                    number.and_then(|number| self.redactor.number(number)).map(StringValue::from)
                }
                _ => None,
            };
            if let Some(clean) = clean {
                *value = Value::String(clean);
            }
        }
    }

    fn clean_text(&self, mark: Mark, text: &str) -> Option<StringValue> {
        let sort = match mark {
            Mark::Secret(treatment) => return Some(StringValue::from(self.hide(treatment, text))),
            Mark::Query => Sort::Query,
            Mark::None => Sort::Text,
        };
        self.redactor.redact(text, sort, &mut |_| ()).map(StringValue::from)
    }

    /// The part of a log record that goes by `name`, or nothing if there is no secret in it.
    pub(super) fn clean_any(&self, name: &str, value: &AnyValue) -> Option<AnyValue> {
        let mark = self.meet(name);
        match value {
            AnyValue::String(text) => self.clean_text(mark, text.as_str()).map(AnyValue::String),
            AnyValue::Map(values) => {
                let hidden = matches!(mark, Mark::Secret(_));
                let clean = |key: &Key, value: &AnyValue| {
                    self.clean_any(if hidden { name } else { key.as_str() }, value)
                };
                if !values.iter().any(|(key, value)| clean(key, value).is_some()) {
                    return None;
                }
                let pairs = values
                    .iter()
                    .map(|(key, value)| (key.clone(), clean(key, value).unwrap_or_else(|| value.clone())));
                Some(AnyValue::Map(Box::new(pairs.collect())))
            }
            AnyValue::ListAny(values) => {
                let clean: Vec<_> = values.iter().map(|value| self.clean_any(name, value)).collect();
                clean.iter().any(Option::is_some).then(|| {
                    let values = values.iter().zip(clean);
                    let values = values.map(|(value, clean)| clean.unwrap_or_else(|| value.clone()));
                    AnyValue::ListAny(Box::new(values.collect()))
                })
            }
            AnyValue::Int(number) if mark == Mark::None => {
                let number = self.redactor.number(u64::try_from(*number).ok()?)?;
                Some(AnyValue::String(number.into()))
            }
            AnyValue::Int(number) => self.clean_text(mark, &number.to_string()).map(AnyValue::String),
            AnyValue::Double(number) => self.clean_number(mark, number),
            AnyValue::Boolean(yes) => self.clean_number(mark, yes),
            AnyValue::Bytes(bytes) => self.clean_number(mark, &String::from_utf8_lossy(bytes)),
            _ => None,
        }
    }

    fn clean_number(&self, mark: Mark, value: &dyn fmt::Display) -> Option<AnyValue> {
        let Mark::Secret(treatment) = mark else { return None };
        Some(AnyValue::String(self.hide(treatment, &value.to_string()).into()))
    }
}

/// A text without the quotes that `Debug` puts around it, so that its hash is that of the text.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// How much further than it may reach a text is looked at: what is cut off of a secret would keep it from being
/// found.
const BEYOND: usize = 1_024;

/// Makes values of fields: without secrets, and within the limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    pub(super) limits: &'a SpanLimits,
    pub(super) secrets: &'a Secrets,
}

impl Values<'_> {
    /// The text that goes by `name`.
    #[inline]
    pub(super) fn text<'a>(&self, name: &'static str, text: &'a str) -> Cow<'a, str> {
        match self.secrets.text(name, self.near(text)) {
            Cow::Borrowed(text) => Cow::Borrowed(self.limits.cut(text)),
            Cow::Owned(text) => Cow::Owned(self.cut(text)),
        }
    }

    #[inline]
    pub(super) fn string(&self, name: &'static str, text: &str) -> Value {
        if let Mark::Secret(treatment) = self.secrets.mark(name) {
            return Value::from(self.secrets.hide(treatment, text));
        }
        Value::from(self.text(name, text).into_owned())
    }

    #[inline]
    pub(super) fn integer(&self, name: &'static str, number: i128) -> Value {
        match self.secrets.number(name, number) {
            Some(hidden) => Value::from(hidden),
            None => i64::try_from(number).map_or_else(|_| Value::from(number.to_string()), Value::I64),
        }
    }

    #[inline]
    pub(super) fn other<T: fmt::Display + Into<Value>>(&self, name: &'static str, value: T) -> Value {
        match self.secrets.hidden(name, &value) {
            Some(hidden) => Value::from(hidden),
            None => value.into(),
        }
    }

    /// `value` as text that stops growing near the limit, however much it would print.
    pub(super) fn render(&self, name: &'static str, value: &dyn fmt::Debug) -> String {
        struct Bounded(String, usize);

        impl fmt::Write for Bounded {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                let room = self.1.saturating_sub(self.0.len());
                self.0.push_str(&text[..text.floor_char_boundary(room)]);
                // The error stops the printing: there is no use for the rest.
                if room < text.len() { Err(fmt::Error) } else { Ok(()) }
            }
        }

        let mut bounded = Bounded(String::new(), self.limits.value_length.saturating_add(BEYOND));
        let _cut_short = write!(bounded, "{value:?}");
        let clean = match self.secrets.text(name, &bounded.0) {
            Cow::Borrowed(_) => None,
            Cow::Owned(clean) => Some(clean),
        };
        self.cut(clean.unwrap_or(bounded.0))
    }

    fn near<'a>(&self, text: &'a str) -> &'a str {
        &text[..text.floor_char_boundary(self.limits.value_length.saturating_add(BEYOND))]
    }

    fn cut(&self, mut text: String) -> String {
        text.truncate(text.floor_char_boundary(self.limits.value_length));
        text
    }
}

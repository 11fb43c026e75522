//! Redacts the values of fields by the names of the fields.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use crate::base::error::ConfigError;
use crate::base::redact::{RedactionSettings, Redactor, Rule, Treatment};
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::telemetry::variables::Variables;

/// Redacts the values of fields. See the [module](super).
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct Secrets {
    /// Unique in the process, for the cache.
    id: u64,
    pub(super) redactor: Redactor,
}

/// How a value is redacted, by the name of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldClass {
    /// The value is searched for secrets.
    Plain,
    /// The value is the query of a URL.
    Query,
    /// The value is a secret.
    Secret(Rule),
}

/// The size of the cache, as a power of two.
const CACHED: u32 = 7;

/// The id of the redactor, the address and the length of the name, and its class.
type Cached = (u64, usize, usize, FieldClass);

thread_local! {
    /// The last names of this thread.
    static LAST: [Cell<Option<Cached>>; 1 << CACHED] = const { [const { Cell::new(None) }; 1 << CACHED] };
}

impl Secrets {
    pub(in crate::telemetry) fn new(
        settings: &RedactionSettings,
        variables: &Variables,
    ) -> Result<Self, ConfigError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let redactor = Redactor::with_variables(settings, |name| variables.get(name));
        let redactor = redactor.map_err(|error| error.within("redaction"))?;
        Ok(Self { id: NEXT.fetch_add(1, Ordering::Relaxed), redactor })
    }

    pub(in crate::telemetry) fn redactor(&self) -> Redactor {
        self.redactor.clone()
    }

    #[inline]
    pub(super) fn class(&self, name: &'static str) -> FieldClass {
        let (address, length) = (name.as_ptr().addr(), name.len());
        let place = (address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - CACHED);
        LAST.try_with(|last| {
            let cell = &last[place as usize];
            match cell.get() {
                Some((id, at, of, class)) if id == self.id && at == address && of == length => class,
                _ => {
                    let class = self.classify(name);
                    cell.set(Some((self.id, address, length, class)));
                    class
                }
            }
        })
        .unwrap_or_else(|_| self.classify(name))
    }

    #[cold]
    pub(super) fn classify(&self, name: &str) -> FieldClass {
        match self.redactor.rule(name) {
            Rule { treatment: Treatment::Leave, .. } if matches!(name, "url.query" | "http.query") => {
                FieldClass::Query
            }
            Rule { treatment: Treatment::Leave, .. } => FieldClass::Plain,
            rule => FieldClass::Secret(rule),
        }
    }

    /// The redacted text of a field `name`.
    #[inline]
    pub(in crate::telemetry) fn text<'a>(&self, name: &'static str, text: &'a str) -> Cow<'a, str> {
        self.text_of(self.class(name), text)
    }

    #[inline]
    pub(super) fn text_of<'a>(&self, class: FieldClass, text: &'a str) -> Cow<'a, str> {
        match class {
            FieldClass::Plain => self.redactor.text(text),
            FieldClass::Query => self.redactor.query(text),
            FieldClass::Secret(rule) => self.hide(rule, text),
        }
    }

    /// The replacement of a value that is not text, if its name is that of a secret.
    #[inline]
    pub(in crate::telemetry) fn hidden(
        &self,
        name: &'static str,
        value: &dyn fmt::Display,
    ) -> Option<Cow<'static, str>> {
        match self.class(name) {
            FieldClass::Secret(rule) => self.hidden_text(rule, &value.to_string()),
            _ => None,
        }
    }

    /// The replacement of a number, if its name is that of a secret, or it is the number of a card.
    #[inline]
    pub(in crate::telemetry) fn number(&self, name: &'static str, number: i128) -> Option<Cow<'static, str>> {
        match self.class(name) {
            FieldClass::Secret(rule) => self.hidden_text(rule, &number.to_string()),
            _ => self.redactor.number(u64::try_from(number).ok()?),
        }
    }

    /// The replacement of a secret, or `None` if the value does not have the form that the rule asks for.
    pub(super) fn hidden_text(&self, rule: Rule, text: &str) -> Option<Cow<'static, str>> {
        rule.hides(text.as_bytes()).then(|| self.redactor.replacement(rule.treatment, text.as_bytes()))
    }

    fn hide<'a>(&self, rule: Rule, text: &'a str) -> Cow<'a, str> {
        self.secret_text(rule, text).unwrap_or_else(|| self.redactor.text(text))
    }

    /// The replacement of a text with the name of a secret, or `None` if the text is empty, `None`, or does not have
    /// the form that the rule asks for.
    pub(super) fn secret_text(&self, rule: Rule, text: &str) -> Option<Cow<'static, str>> {
        match unquoted(text) {
            "" | "None" => None,
            text => self.hidden_text(rule, text),
        }
    }
}

/// The text without the quotes of `Debug`, so that it has the same hash as the plain text.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

//! Redacts the values of fields by the names of the fields.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use crate::base::error::ConfigError;
use crate::base::redact::{RedactionSettings, Redactor, Rule, Treatment};
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::telemetry::variables::Variables;

/// Knows what fields must not say. See the [module](super).
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct Secrets {
    /// Tells it apart from all others that ever were.
    id: u64,
    pub(super) redactor: Redactor,
}

/// What the name of a field says about its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldClass {
    /// Nothing: the value is searched.
    Plain,
    /// It is the query of a URL.
    Query,
    Secret(Rule),
}

/// As a power of two.
const CACHED: u32 = 7;

/// Which redactor, the address of the name and its length, and what is known.
type Cached = (u64, usize, usize, FieldClass);

thread_local! {
    /// The names that this thread met last.
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

    /// The text that goes by `name`.
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

    /// What stands for a value without secrets inside, if its name is that of a secret.
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

    /// What stands for a number, if that is a secret by its name or the number of a card.
    #[inline]
    pub(in crate::telemetry) fn number(&self, name: &'static str, number: i128) -> Option<Cow<'static, str>> {
        match self.class(name) {
            FieldClass::Secret(rule) => self.hidden_text(rule, &number.to_string()),
            _ => self.redactor.number(u64::try_from(number).ok()?),
        }
    }

    /// What stands for a value whose name is that of a secret, unless the value is none of its form.
    pub(super) fn hidden_text(&self, rule: Rule, text: &str) -> Option<Cow<'static, str>> {
        rule.hides(text.as_bytes()).then(|| self.redactor.replacement(rule.treatment, text.as_bytes()))
    }

    fn hide<'a>(&self, rule: Rule, text: &'a str) -> Cow<'a, str> {
        self.secret_text(rule, text).unwrap_or_else(|| self.redactor.text(text))
    }

    /// What stands for a text whose name is that of a secret; none where it says that there is no value, or has not
    /// the form.
    pub(super) fn secret_text(&self, rule: Rule, text: &str) -> Option<Cow<'static, str>> {
        match unquoted(text) {
            "" | "None" => None,
            text => self.hidden_text(rule, text),
        }
    }
}

/// A text without the quotes that `Debug` puts around it, so that its hash is that of the text.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

//! Texts without secrets, bounded in length.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::LazyLock;

use crate::base::cut::shorten;
use crate::base::outcome::shown;
use crate::base::redact::{MARKER, RedactionSettings, Redactor};

/// Fields of an error or event: their names and values. At most 32 are kept, each with up to 1,024 bytes.
pub type Fields<'a> = &'a [(&'a str, &'a dyn Display)];

/// The maximum number of fields.
const MOST_FIELDS: usize = 32;

/// The maximum number of bytes of the value of a field.
const LONGEST_VALUE: usize = 1_024;

/// The maximum number of bytes of the name of a field.
const LONGEST_NAME: usize = 128;

/// Removes secrets from texts, by the redactor of the pipeline, or by the default one.
#[derive(Clone, Debug)]
pub(super) struct Texts(Option<Redactor>);

impl Texts {
    pub(super) fn of(redactor: Redactor) -> Self {
        Self(Some(redactor))
    }

    pub(super) fn clean(&self, text: &str, most: usize) -> String {
        // A text that cannot be searched is not kept.
        let clean = self.0.as_ref().map_or(MARKER.into(), |redactor| redactor.text(text));
        let mut clean = clean.into_owned();
        shorten(&mut clean, most);
        clean
    }

    /// The value of the field `name`.
    pub(super) fn value(&self, name: &str, value: &str) -> String {
        let clean = self.0.as_ref().map_or(MARKER.into(), |redactor| redactor.value(name, value));
        let mut clean = clean.into_owned();
        shorten(&mut clean, LONGEST_VALUE);
        clean
    }

    pub(super) fn fields(&self, fields: Fields<'_>) -> BTreeMap<String, String> {
        let fields = fields.iter().take(MOST_FIELDS).map(|(name, value)| {
            let mut name = (*name).to_owned();
            shorten(&mut name, LONGEST_NAME);
            // A quarter more, so that a secret that crosses the bound is still recognized.
            let value = self.value(&name, &shown(*value, LONGEST_VALUE + LONGEST_VALUE / 4));
            (name, value)
        });
        fields.collect()
    }
}

impl Default for Texts {
    fn default() -> Self {
        static DEFAULT: LazyLock<Option<Redactor>> =
            LazyLock::new(|| Redactor::with_variables(&RedactionSettings::default(), |_| None).ok());
        Self(DEFAULT.clone())
    }
}

/// Fields as JSON text; `None` without fields.
pub(super) fn json(fields: &BTreeMap<String, String>) -> Option<String> {
    if fields.is_empty() { None } else { serde_json::to_string(fields).ok() }
}

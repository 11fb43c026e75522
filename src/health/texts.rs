//! Redaction of the texts that checks and healings return.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::base::redact::{MARKER, RedactionSettings, Redactor};

/// Removes secrets from the texts of checks and healings, with the redactor of the pipeline, or without a pipeline with the
/// default one.
#[derive(Clone, Debug)]
pub(super) struct Texts(Option<Redactor>);

impl Texts {
    pub(super) fn of(redactor: Redactor) -> Self {
        Self(Some(redactor))
    }

    pub(super) fn clean<'a>(&self, text: &'a str) -> Cow<'a, str> {
        // A text that cannot be searched is not kept.
        self.0.as_ref().map_or(Cow::Borrowed(MARKER), |redactor| redactor.text(text))
    }
}

impl Default for Texts {
    fn default() -> Self {
        static DEFAULT: LazyLock<Option<Redactor>> =
            LazyLock::new(|| Redactor::with_variables(&RedactionSettings::default(), |_| None).ok());
        Self(DEFAULT.clone())
    }
}

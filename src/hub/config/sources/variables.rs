//! The variables of the environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// A snapshot of the variables: those of the process, or others in a test.
#[derive(Clone)]
pub(in crate::hub::config) struct Variables(BTreeMap<OsString, OsString>);

impl Variables {
    pub(in crate::hub::config) fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(variables.into_iter().collect())
    }

    pub(in crate::hub::config) fn of_process() -> Self {
        Self::new(std::env::vars_os())
    }

    /// The value of a variable. The error says what is wrong with it; an empty one counts as wrong.
    pub(in crate::hub::config) fn get(&self, name: &str) -> Option<Result<&str, &'static str>> {
        self.0.get(OsStr::new(name)).map(|value| text(value))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

/// The text of a value.
pub(super) fn text(value: &OsStr) -> Result<&str, &'static str> {
    match value.to_str() {
        None => Err("is not valid UTF-8"),
        Some(text) if text.trim().is_empty() => {
            Err("is empty; unset the variable, or write \"\" with its quotes for an empty text")
        }
        Some(text) => Ok(text),
    }
}

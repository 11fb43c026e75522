//! Reads variables, from the environment unless a test or a program gives another source.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::base::error::ConfigError;

/// The source of `OTEL_*` variables: the environment, unless the builder sets another.
#[derive(Clone)]
pub(in crate::telemetry) struct Variables(Arc<Read>);

type Read = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Default for Variables {
    fn default() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }
}

impl Variables {
    pub(in crate::telemetry) fn new(read: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The value of a variable. An empty one counts as not set, as the specification requires.
    pub(in crate::telemetry) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The value of the first of `names` that is set, with its name.
    pub(in crate::telemetry) fn first_of(&self, names: &[String]) -> Option<(String, String)> {
        names.iter().find_map(|name| Some((name.clone(), self.get(name)?)))
    }

    /// Whether the variable is `true`, in any letter case. Anything else is `false`, as the specification requires.
    pub(in crate::telemetry) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(in crate::telemetry) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, ConfigError> {
        self.get(name)
            .map(|value| {
                let allowed = "a whole number, 0 or more";
                value.parse().map_err(|_| ConfigError::new(name.to_owned(), &value, allowed))
            })
            .transpose()
    }

    pub(in crate::telemetry) fn milliseconds(&self, name: &str) -> Result<Option<Duration>, ConfigError> {
        Ok(self.number(name)?.map(Duration::from_millis))
    }

    /// The items of a comma-separated list, in lower case.
    pub(in crate::telemetry) fn list(&self, name: &str) -> Option<Vec<String>> {
        let value = self.get(name)?;
        Some(value.split(',').map(|word| word.trim().to_ascii_lowercase()).collect())
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables")
    }
}

/// Decodes percent encoding. Text whose decoded form is not UTF-8 stays as it is.
pub(in crate::telemetry) fn percent_decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Cow::into_owned)
}

//! The builder of a fallback.

use std::sync::Arc;
use std::time::Duration;

use super::handle::Fallback;
use super::settings::FallbackSettings;
use crate::base::error::ConfigError;

impl Fallback {
    /// Returns a builder. `name` appears in metrics and events.
    pub fn builder(name: impl Into<Arc<str>>) -> FallbackBuilder {
        FallbackBuilder { name: name.into(), settings: FallbackSettings::default() }
    }
}

/// Makes a [`Fallback`]. Every setting has a default; see [`FallbackSettings`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct FallbackBuilder {
    name: Arc<str>,
    settings: FallbackSettings,
}

impl FallbackBuilder {
    setters! {
        /// Sets the maximum number of kept answers: from 1 to 1,000,000.
        pub fn max_answers(answers: usize) { settings.max_answers = answers; }
        /// Sets the maximum size of all kept answers, in bytes: from 1 KiB to 16 GiB.
        pub fn max_bytes(bytes: usize) { settings.max_bytes = bytes; }
        /// Sets the maximum age of a kept answer.
        pub fn max_age(age: Duration) { settings.max_age = age; }
        /// Sets the maximum size of the body of a kept HTTP response, in bytes: at most 1 GiB.
        pub fn max_body(bytes: usize) { settings.max_body = bytes; }
        /// Sets whether HTTP responses are kept that may be meant for one caller: see [`FallbackSettings::keep_private`].
        pub fn keep_private(keep: bool) { settings.keep_private = keep; }
    }

    /// Builds the fallback.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range, its value and what is allowed.
    pub fn build(self) -> Result<Fallback, ConfigError> {
        Fallback::checked(self.name, self.settings)
    }
}

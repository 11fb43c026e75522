//! The builder of alternatives.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tower::BoxError;

use super::entry::Entry;
use super::handle::{Alternatives, Inner};
use super::settings::AlternativesSettings;
use crate::base::backoff::Backoff;
use crate::base::error::ConfigError;
use crate::signal;

/// Maximum number of alternatives, each of which has metrics.
const MAX_ALTERNATIVES: usize = 16;

impl<C> Alternatives<C> {
    /// Returns a builder. `name` appears in metrics and events.
    pub fn builder(name: impl Into<Arc<str>>) -> AlternativesBuilder<C> {
        AlternativesBuilder {
            name: name.into(),
            settings: AlternativesSettings::default(),
            entries: Vec::new(),
        }
    }
}

/// Makes [`Alternatives`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct AlternativesBuilder<C> {
    name: Arc<str>,
    settings: AlternativesSettings,
    entries: Vec<Entry<C>>,
}

impl<C: Clone + Send + Sync + 'static> AlternativesBuilder<C> {
    setters! {
        /// Sets the time limit of one connect.
        pub fn connect_timeout(limit: Duration) { settings.connect_timeout = limit; }
        /// Sets how long a failed alternative is left alone, by the number of its failures in a row.
        pub fn backoff(backoff: Backoff) { settings.backoff = backoff; }
        /// Sets all settings, such as those of a file.
        pub fn settings(settings: &AlternativesSettings) { settings = settings.clone(); }
    }

    /// Adds an alternative behind those that were added before. `connect` makes its connection, or its pool of connections, when
    /// it is needed.
    pub fn add<F, Fut, E>(mut self, name: impl Into<Arc<str>>, connect: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<C, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        // Boxed, since connects are rare and each alternative has a type of its own.
        self.entries.push(Entry::new(
            name.into(),
            Box::new(move || {
                let connecting = connect();
                Box::pin(async move { connecting.await.map_err(Into::into) })
            }),
        ));
        self
    }

    /// Builds the alternatives. Nothing is connected yet.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range, its value and what is allowed: also without alternatives, with
    /// more than 16, and with two of one name.
    pub fn build(self) -> Result<Alternatives<C>, ConfigError> {
        self.check().map_err(|error| error.of("alternatives", &self.name))?;
        let inner = Arc::new(Inner::new(self.name, self.settings, self.entries));
        signal::register(&inner);
        Ok(Alternatives { inner })
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.settings.validate()?;
        let count = self.entries.len();
        ConfigError::check(
            (1..=MAX_ALTERNATIVES).contains(&count),
            "add",
            count,
            "from 1 to 16 alternatives",
        )?;
        for (place, entry) in self.entries.iter().enumerate() {
            let is_new = self.entries[..place].iter().all(|other| other.name != entry.name);
            ConfigError::check(is_new, "add", &entry.name, "a name for each alternative")?;
        }
        Ok(())
    }
}

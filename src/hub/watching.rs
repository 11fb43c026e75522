//! What a program watches beside its parts: databases, and metrics of its own.

use std::sync::Arc;
use std::time::Duration;

use super::campanile::Campanile;
use super::inner::spawn;
use crate::base::error::ConfigError;
use crate::health::{Check, CheckHandle, Component};
use crate::sampler::{Measurement, Sampler};

impl Campanile {
    /// Checks a database as `[database.NAME]` says: its interval, and its limits on the response time. Use a
    /// [`PoolCheck`](crate::health::PoolCheck) to see the state of a pool too.
    ///
    /// # Errors
    /// When the name is checked already, or a setting is not valid.
    ///
    /// # Example
    /// ```
    /// use campanile::Campanile;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let campanile = Campanile::builder("checkout").start().await?;
    /// # async fn ping() -> std::io::Result<()> { Ok(()) }
    /// let orders = campanile.database("orders", || async { ping().await })?; // SELECT 1
    /// # let _ = orders;
    /// # Ok(())
    /// # }
    /// ```
    pub fn database(&self, name: impl Into<Arc<str>>, check: impl Check) -> Result<CheckHandle, ConfigError> {
        let name = name.into();
        let settings = self.inner.config.settings().database.get(&*name).cloned().unwrap_or_default();
        self.inner.health.join(Component::new(Arc::clone(&name)).critical(settings.critical))?;
        self.inner.health.check(name, settings.schedule(), check)
    }

    /// Reads metrics of the program at an interval, until the result is dropped: see [`Sampler::collector`].
    ///
    /// # Errors
    /// When the name or interval is out of range, or the system refuses a thread.
    ///
    /// # Example
    /// ```
    /// use campanile::Campanile;
    /// use campanile::sampler::Measurement;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let campanile = Campanile::builder("checkout").start().await?;
    /// let every = Duration::from_secs(10);
    /// let cache = campanile.collector("cache", every, || [Measurement::gauge("shop.cache.entries", 7.0)])?;
    /// # drop(cache);
    /// # Ok(())
    /// # }
    /// ```
    pub fn collector<M>(
        &self,
        name: &str,
        every: Duration,
        collect: impl Fn() -> M + Send + Sync + 'static,
    ) -> Result<Sampler, ConfigError>
    where
        M: IntoIterator<Item = Measurement>,
    {
        Sampler::collector(name, every, collect)
    }

    /// Logs the [overview](crate::health::Health::overview) at an interval, if the settings say so.
    pub(super) fn summarize(&self) {
        let Some(every) = self.inner.config.settings().logging.summary_every else { return };
        let health = self.inner.health.clone();
        spawn(&self.inner, async move {
            loop {
                tokio::time::sleep(every).await;
                // A line is an event: the console escapes line breaks.
                for line in health.overview().to_string().lines() {
                    tracing::info!(target: "campanile::summary", "{line}");
                }
            }
        });
    }
}

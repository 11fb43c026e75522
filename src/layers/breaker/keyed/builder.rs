//! The builder of a keyed breaker.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tower::BoxError;

use super::handle::KeyedBreaker;
use super::key::Key;
use super::probe::KeyedProbe;
use super::settings::KeyedSettings;
use crate::base::error::ConfigError;
use crate::layers::breaker::builder::CircuitBreakerBuilder;
use crate::layers::breaker::handle::CircuitBreaker;
use crate::layers::breaker::health_probe::answer;

/// Makes a [`KeyedBreaker`]: the setters of [`CircuitBreakerBuilder`] are those of each circuit.
pub type KeyedBreakerBuilder<K, F> = CircuitBreakerBuilder<PerKey<K, F>>;

/// The part of the builder for a circuit for each key.
#[derive(Clone)]
pub struct PerKey<K, F> {
    key_of: F,
    max_keys: u32,
    max_ejected: f64,
    health_probe: Option<KeyedProbe<K>>,
}

impl CircuitBreaker {
    /// Returns a builder of a breaker with a circuit for each key, such as a host or a tenant. A failing key does not shut
    /// out the others. `key_of` returns the key of a request; see [`KeyedBreaker`].
    ///
    /// # Example
    /// ```
    /// use campanile::CircuitBreaker;
    /// use http::Request;
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// // Authorities are reference-counted: making and cloning one does not allocate.
    /// let upstream = CircuitBreaker::keyed("upstream", |request: &Request<()>| {
    ///     request.uri().authority().cloned().unwrap_or_else(|| http::uri::Authority::from_static("none"))
    /// })
    /// .consecutive_failures(5)
    /// .max_keys(1_000)
    /// .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn keyed<Req: ?Sized, K: Key, F>(name: impl Into<Arc<str>>, key_of: F) -> KeyedBreakerBuilder<K, F>
    where
        F: Fn(&Req) -> K,
    {
        let KeyedSettings { circuit, max_keys, max_ejected } = KeyedSettings::default();
        CircuitBreakerBuilder::new(name.into(), PerKey { key_of, max_keys, max_ejected, health_probe: None })
            .settings(circuit)
    }
}

impl<K: Key, F> KeyedBreakerBuilder<K, F> {
    setters! {
        /// Sets the maximum number of keys with circuits: [`KeyedSettings::max_keys`].
        pub fn max_keys(keys: u32) { kind.max_keys = keys; }
        /// Sets the maximum share of circuits that are open at once: [`KeyedSettings::max_ejected`].
        pub fn max_ejected(share: f64) { kind.max_ejected = share; }
    }

    /// Sets a check that decides when the open circuit of a key becomes half-open, like [`CircuitBreakerBuilder::health_probe`] for a
    /// single circuit. It gets the key.
    ///
    /// Each open circuit has one task, which ends when the circuit is evicted. At most 64 checks of a keyed breaker run at a
    /// time; the others wait for their turn. If the turn does not come within [`HalfOpen::max_wait`], such as when checks
    /// hang, callers may probe too until it comes.
    ///
    /// [`HalfOpen::max_wait`]: crate::HalfOpen::max_wait
    ///
    /// # Example
    /// ```
    /// # use campanile::CircuitBreaker;
    /// # async fn ping(tenant: u64) -> std::io::Result<()> { Ok(()) }
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let tenants = CircuitBreaker::keyed("tenants", |tenant: &u64| *tenant)
    ///     .health_probe(|tenant| async move { ping(tenant).await })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn health_probe<C, Fut, T, E>(mut self, check: C) -> Self
    where
        C: Fn(K) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.kind.health_probe = Some(KeyedProbe::new(move |key| answer(check(key))));
        self
    }

    /// Builds the breaker.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range, its value and what is allowed.
    pub fn build(self) -> Result<KeyedBreaker<K, F>, ConfigError> {
        let PerKey { key_of, max_keys, max_ejected, health_probe } = self.kind;
        self.settings.validate(&self.name)?;
        let settings = KeyedSettings { circuit: self.settings, max_keys, max_ejected };
        KeyedBreaker::new(self.name, key_of, settings, health_probe)
    }
}

impl<K, F> fmt::Debug for PerKey<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey")
            .field("max_keys", &self.max_keys)
            .field("max_ejected", &self.max_ejected)
            .field("health_probe", &self.health_probe)
            .finish_non_exhaustive()
    }
}

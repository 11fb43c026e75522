//! The handles: one with the type of its keys, one without.

use std::fmt;
use std::sync::Arc;

use super::circuits::{AnyCircuits, Circuits, Key};
use super::layer::KeyedLayer;
use super::probe::KeyedProbe;
use super::settings::KeyedSettings;
use super::snapshot::KeyedSnapshot;
use crate::base::error::{CallError, Cause, ConfigError};
use crate::base::outcome::{ByCause, ByResult, Classify};
use crate::base::registry::Registry;
use crate::layers::breaker::handle::CircuitBreaker;
use crate::layers::breaker::settings::BreakerSettings;
use crate::layers::breaker::transition::Transitions;
use crate::signal;

static REGISTRY: Registry<dyn AnyCircuits> = Registry::new();

/// A breaker with a circuit for each key: see the [module](crate::layers::breaker::keyed).
pub struct KeyedBreaker<K, F> {
    pub(super) circuits: Arc<Circuits<K>>,
    pub(super) key_of: F,
}

impl<K: Key, F> KeyedBreaker<K, F> {
    /// Makes a breaker from settings, such as those of a file.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range.
    pub fn from_settings<Req: ?Sized>(
        name: impl Into<Arc<str>>,
        key_of: F,
        settings: KeyedSettings,
    ) -> Result<Self, ConfigError>
    where
        F: Fn(&Req) -> K,
    {
        settings.circuit.validate().map_err(|error| error.within("circuit"))?;
        Self::make(name.into(), key_of, settings, None)
    }

    /// The settings of the circuits were validated.
    pub(super) fn make(
        name: Arc<str>,
        key_of: F,
        settings: KeyedSettings,
        health_probe: Option<KeyedProbe<K>>,
    ) -> Result<Self, ConfigError> {
        settings.validate()?;
        let circuits = Circuits::new(name, settings, health_probe);
        signal::register(&circuits);
        let listed: Arc<dyn AnyCircuits> = Arc::clone(&circuits) as _;
        REGISTRY.add(Arc::downgrade(&listed));
        Ok(Self { circuits, key_of })
    }

    /// The breaker's name. That of a circuit is `name/key`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.circuits.group.name
    }

    /// Returns the current counts of all circuits.
    #[must_use]
    pub fn snapshot(&self) -> KeyedSnapshot {
        self.circuits.snapshot()
    }

    /// Returns the circuit of `key`, made if there is none. The key counts as used now.
    ///
    /// If the circuit is evicted, this handle keeps it, but no request reaches it any more. Its earlier counts are in the
    /// totals of the keyed breaker.
    pub fn circuit(&self, key: K) -> CircuitBreaker {
        CircuitBreaker { circuit: self.circuits.circuit(key) }
    }

    /// Returns the circuit of `key`, if there is one. The key does not count as used.
    ///
    /// # Example
    /// ```
    /// use campanile::CircuitBreaker;
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let tenants = CircuitBreaker::keyed("tenants", |tenant: &u64| *tenant).build()?;
    /// assert!(tenants.get(&7).is_none());
    /// tenants.circuit(7).force_open();
    /// assert_eq!(tenants.get(&7).map(|circuit| circuit.name().to_owned()), Some("tenants/7".into()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn get(&self, key: &K) -> Option<CircuitBreaker> {
        self.circuits.peek(key).map(|circuit| CircuitBreaker { circuit })
    }

    /// Returns all circuits with their keys, in no order.
    #[must_use]
    pub fn circuits(&self) -> Vec<(K, CircuitBreaker)> {
        let circuits = self.circuits.all();
        circuits.into_iter().map(|(key, circuit)| (key, CircuitBreaker { circuit })).collect()
    }

    /// Returns the settings of new circuits.
    #[must_use]
    pub fn settings(&self) -> BreakerSettings {
        self.circuits.settings()
    }

    /// Replaces the settings of all circuits, including new ones, like [`CircuitBreaker::reconfigure`].
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range; then nothing has changed.
    pub fn reconfigure(&self, settings: BreakerSettings) -> Result<(), ConfigError> {
        self.circuits.reconfigure(settings)
    }

    /// Subscribes to the transitions of all circuits, those of one circuit in order. An eviction is not a transition.
    #[must_use]
    pub fn subscribe(&self) -> Transitions {
        self.circuits.group.subscribe()
    }

    /// A layer for any [`tower::Service`] that is `Clone`.
    ///
    /// The error type becomes [`tower::BoxError`]. The error of a refused call holds [`Rejected`](crate::Rejected).
    #[must_use]
    pub fn layer(&self) -> KeyedLayer<K, F>
    where
        F: Clone,
    {
        KeyedLayer::new(self.clone())
    }

    /// Runs `work` if the circuit of `key` admits it, for code that is not a service: see [`CircuitBreaker::call`].
    ///
    /// # Errors
    /// [`CallError::Rejected`] if the circuit refused the call, [`CallError::Inner`] if the work failed.
    pub async fn call<T, E, W, M>(&self, key: K, work: W) -> Result<T, CallError<E>>
    where
        W: Future<Output = Result<T, E>>,
        E: Cause<M>,
    {
        self.circuit(key).call_with(ByCause::new(ByResult), work).await
    }

    /// [`KeyedBreaker::call`] with a classifier that decides what failed.
    ///
    /// # Errors
    /// As [`KeyedBreaker::call`].
    pub async fn call_with<T, E, W>(
        &self,
        key: K,
        classifier: impl Classify<T, E>,
        work: W,
    ) -> Result<T, CallError<E>>
    where
        W: Future<Output = Result<T, E>>,
    {
        self.circuit(key).call_with(classifier, work).await
    }
}

impl<K, F: Clone> Clone for KeyedBreaker<K, F> {
    fn clone(&self) -> Self {
        Self { circuits: Arc::clone(&self.circuits), key_of: self.key_of.clone() }
    }
}

impl<K, F> fmt::Debug for KeyedBreaker<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBreaker").field("name", &self.circuits.group.name).finish_non_exhaustive()
    }
}

/// A keyed breaker with any type of keys, for an admin page: see [`CircuitBreaker::all_keyed`].
#[derive(Clone)]
pub struct AnyKeyedBreaker(Arc<dyn AnyCircuits>);

impl AnyKeyedBreaker {
    /// As [`KeyedBreaker::name`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.group().name
    }

    /// As [`KeyedBreaker::snapshot`].
    #[must_use]
    pub fn snapshot(&self) -> KeyedSnapshot {
        self.0.snapshot()
    }

    /// Returns all circuits, in no order. Their names contain their keys.
    #[must_use]
    pub fn circuits(&self) -> Vec<CircuitBreaker> {
        self.0.circuits().into_iter().map(|circuit| CircuitBreaker { circuit }).collect()
    }

    /// As [`KeyedBreaker::settings`].
    #[must_use]
    pub fn settings(&self) -> BreakerSettings {
        self.0.settings()
    }

    /// As [`KeyedBreaker::reconfigure`].
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range; then nothing has changed.
    pub fn reconfigure(&self, settings: BreakerSettings) -> Result<(), ConfigError> {
        self.0.reconfigure(settings)
    }

    /// As [`KeyedBreaker::subscribe`].
    #[must_use]
    pub fn subscribe(&self) -> Transitions {
        self.0.group().subscribe()
    }
}

impl fmt::Debug for AnyKeyedBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyKeyedBreaker").field("name", &self.0.group().name).finish_non_exhaustive()
    }
}

impl CircuitBreaker {
    /// Returns all keyed breakers of the process that a handle, a layer or a service still holds, oldest first.
    ///
    /// # Example
    /// ```
    /// use campanile::CircuitBreaker;
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let tenants = CircuitBreaker::keyed("tenants", |tenant: &u64| *tenant).build()?;
    /// for keyed in CircuitBreaker::all_keyed() {
    ///     println!("{}: {} of {} open", keyed.name(), keyed.snapshot().states.open, keyed.snapshot().circuits);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn all_keyed() -> Vec<AnyKeyedBreaker> {
        REGISTRY.living().into_iter().map(AnyKeyedBreaker).collect()
    }
}

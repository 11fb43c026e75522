//! The handle: cheap to clone, shared by all layers made from it.

use std::fmt;
use std::sync::Arc;

use super::any::REGISTRY;
use super::circuits::{AnyCircuits, Circuits};
use super::key::Key;
use super::probe::KeyedProbe;
use super::settings::KeyedSettings;
use super::snapshot::KeyedSnapshot;
use crate::base::bounds::Work;
use crate::base::error::{CallError, Cause, ConfigError};
use crate::base::outcome::Classify;
use crate::layers::breaker::handle::CircuitBreaker;
use crate::layers::breaker::settings::BreakerSettings;
use crate::layers::breaker::transition::Transitions;
use crate::signal;

/// A breaker with a circuit for each key, such as a host or a tenant. A failing key does not shut out the others.
///
/// # Why
/// A single circuit in front of a hundred upstreams counts one percent of failures when one of them is down, and stays
/// closed. A circuit for that upstream opens, and refuses only its calls.
///
/// ```
/// use campanile::{CallError, CircuitBreaker, CircuitState};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), campanile::ConfigError> {
/// let tenants = CircuitBreaker::keyed("tenants", |request: &(u64, String)| request.0)
///     .consecutive_failures(1)
///     .build()?;
/// let _ = tenants.call(7, async { Err::<(), _>("broken") }).await;
/// let refused = tenants.call(7, async { Ok::<_, &str>(()) }).await.unwrap_err();
/// assert!(refused.to_string().starts_with("circuit `tenants/7` is open"));
/// assert!(tenants.call(8, async { Ok::<_, &str>(()) }).await.is_ok());
/// # Ok(())
/// # }
/// ```
///
/// # What it promises
/// - **Bounded.** At most [`KeyedSettings::max_keys`] keys have circuits. A new key evicts the least recently used closed
///   circuit, so a flood of made-up keys does not evict open ones. If none is closed, the least recently used open or
///   half-open circuit is evicted; further new keys then replace each other in its place. Circuits that an operator forced
///   open, disabled or set to metrics-only are evicted last, with a warning in the log. An open circuit without a call in the
///   hour after its wait counts as closed here, and so does a half-open one without a call in an hour.
/// - **At most a share is ejected** at once: [`KeyedSettings::max_ejected`]. Failures beyond it leave their circuits
///   closed, and are counted as [`Totals::kept_closed`](crate::breaker::Totals::kept_closed). Such a circuit opens with
///   the next failed or slow call that would open it, after another has closed or was evicted. A success never opens a
///   circuit: after a common outage, circuits stay closed.
/// - **Counters never go down.** The counts of an evicted circuit stay in the totals. Calls that were running at its
///   eviction are added to the totals when the last of them has ended. They open no circuit.
/// - **Metrics have no keys.** They have the name of the breaker only, and are summed over its circuits. Health has one
///   component for the breaker, which loses points in proportion to the share of broken circuits.
/// - **The closure that returns a key runs outside locks.** Its panic reaches the caller and counts as no call.
///
/// # What differs from one circuit
/// The key is known only with the request, so admission is decided in `call`. After a refusal, the inner service, which was
/// ready, is replaced by a fresh clone, which releases what the old one had reserved. A caller cannot wait in `call`: layers
/// refuse at once, and [`BreakerSettings::half_open_queue`] applies to
/// [`KeyedBreaker::call`] only.
///
/// A key is of any type that is `Hash + Eq + Clone + Display + Send + Sync + 'static`. `Hash` and `Display` run outside of
/// locks; `Eq` and `Clone` must not call the breaker. One is made for each call. Keys that are numbers, `&'static str`,
/// `Arc<str>` or [`http::uri::Authority`](https://docs.rs/http/latest/http/uri/struct.Authority.html) cost no allocation; a
/// `String` costs one. Requests without a key need one too, such as `"none"`: they share a circuit.
///
/// A key costs less than 1 KiB of memory with the default settings, itself and its circuit's name included; a slow-call
/// limit that each circuit learns ([`Adaptive`](crate::breaker::Adaptive)) costs about 800 bytes more.
///
/// A [health probe](CircuitBreaker::keyed) costs a task for each open circuit, and a second copy of each key.
///
/// With room for 1,024 keys or more, the map is split into shards, each with its own lock and evictions. Keys spread over
/// them evenly but not exactly, so leave some room above the number of keys in use.
pub struct KeyedBreaker<K, F> {
    pub(super) circuits: Arc<Circuits<K>>,
    pub(super) key_of: F,
}

impl<K: Key, F> KeyedBreaker<K, F> {
    /// Makes a breaker from settings, such as those of a file. To add a health probe, use [`CircuitBreaker::keyed`].
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range, its value and what is allowed.
    pub fn from_settings<Req: ?Sized>(
        name: impl Into<Arc<str>>,
        key_of: F,
        settings: &KeyedSettings,
    ) -> Result<Self, ConfigError>
    where
        F: Fn(&Req) -> K,
    {
        let name = name.into();
        settings.circuit.validate(&name).map_err(|error| error.within("circuit"))?;
        Self::new(name, key_of, settings.clone(), None)
    }

    /// The settings of the circuits were validated.
    pub(super) fn new(
        name: Arc<str>,
        key_of: F,
        settings: KeyedSettings,
        health_probe: Option<KeyedProbe<K>>,
    ) -> Result<Self, ConfigError> {
        settings.validate(&name)?;
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

    /// Runs `work` if the circuit of `key` admits it, for code that is not a service: see [`CircuitBreaker::call`].
    ///
    /// # Errors
    /// [`CallError::Rejected`] if the circuit refused the call, [`CallError::Inner`] if the work failed.
    pub async fn call<T, E, W, M>(&self, key: K, work: W) -> Result<T, CallError<E>>
    where
        W: Work<T, E>,
        E: Cause<M>,
    {
        self.circuit(key).call(work).await
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
        W: Work<T, E>,
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

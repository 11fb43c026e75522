//! The handle: made by a builder, cheap to clone, shared by every layer made from it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use super::builder::{Builder, One};
use super::circuit::Circuit;
use super::health_probe::HealthProbe;
use super::keyed::AnyKeyedBreaker;
use super::layer::BreakerLayer;
use super::permit::Permit;
use super::settings::BreakerSettings;
use super::snapshot::{BreakerSnapshot, CircuitState};
use super::transition::Transitions;
use super::wait::{Patience, poll_admit};
use crate::error::{CallError, Cause, ConfigError, Rejected};
use crate::outcome::{ByCause, ByResult, Classify, Guarded};
use crate::roll::Roll;
use crate::signal;

static REGISTRY: Roll<Circuit> = Roll::new();

/// A circuit breaker; see the [module](crate::breaker).
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    pub(super) circuit: Arc<Circuit>,
}

impl CircuitBreaker {
    /// Begins a breaker called `name`: its component in health, its attribute in metrics.
    pub fn builder(name: impl Into<Arc<str>>) -> Builder {
        Builder::of(name.into(), One::default())
    }

    /// A breaker with settings that were read from somewhere.
    ///
    /// # Errors
    /// Names the setting that is out of its range.
    pub fn from_settings(name: impl Into<Arc<str>>, settings: BreakerSettings) -> Result<Self, ConfigError> {
        Self::make(name.into(), settings, None)
    }

    pub(super) fn make(
        name: Arc<str>,
        settings: BreakerSettings,
        health_probe: Option<HealthProbe>,
    ) -> Result<Self, ConfigError> {
        settings.validate()?;
        let circuit = Circuit::new(name, Arc::new(settings), health_probe, None);
        signal::register(&circuit);
        REGISTRY.add(Arc::downgrade(&circuit));
        Ok(Self { circuit })
    }

    /// Every breaker of the process that a handle, a layer or a service still holds, in the order they were made.
    /// Circuits of keyed breakers are not among them: see [`CircuitBreaker::all_keyed`].
    ///
    /// # Example
    /// ```
    /// use campanile::CircuitBreaker;
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let payments = CircuitBreaker::builder("payments").build()?;
    /// for breaker in CircuitBreaker::all() {
    ///     println!("{}: {}", breaker.name(), breaker.state().as_str());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn all() -> Vec<Self> {
        REGISTRY.living().into_iter().map(|circuit| Self { circuit }).collect()
    }

    /// The breakers of [`CircuitBreaker::all`], and the circuits of keyed ones, that are called `name`: an admin page
    /// controls them by it.
    ///
    /// # Example
    /// ```
    /// use campanile::{CircuitBreaker, CircuitState};
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let payments = CircuitBreaker::builder("payments").build()?;
    /// CircuitBreaker::named("payments").iter().for_each(CircuitBreaker::force_open);
    /// assert_eq!(payments.state(), CircuitState::ForcedOpen);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Vec<Self> {
        let mut named = Self::all();
        let is_of = |keyed: &AnyKeyedBreaker| name.starts_with(keyed.name());
        named.extend(
            Self::all_keyed().iter().filter(|keyed| is_of(keyed)).flat_map(AnyKeyedBreaker::circuits),
        );
        named.retain(|breaker| breaker.name() == name);
        named
    }

    /// The breaker's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.circuit.name
    }

    /// The state. An open circuit whose wait is over is half-open with the next call, not before.
    #[must_use]
    pub fn state(&self) -> CircuitState {
        self.circuit.state()
    }

    /// Counts, rates and times of this moment.
    #[must_use]
    pub fn snapshot(&self) -> BreakerSnapshot {
        self.circuit.snapshot()
    }

    /// Refuses every call until the mode is changed.
    pub fn force_open(&self) {
        self.circuit.force(CircuitState::ForcedOpen);
    }

    /// Closes the circuit now, with an empty window; it works on from there.
    pub fn force_closed(&self) {
        self.circuit.force(CircuitState::Closed);
    }

    /// Lets every call pass and leaves the window alone, until the mode is changed. Totals still count.
    pub fn disable(&self) {
        self.circuit.force(CircuitState::Disabled);
    }

    /// Lets every call pass and counts as a closed circuit does, but never opens, until the mode is changed: to see
    /// what settings would do. [`Totals::would_open`](super::Totals::would_open) tells how often it would have opened.
    pub fn metrics_only(&self) {
        self.circuit.force(CircuitState::MetricsOnly);
    }

    /// As if newly made: closed, an empty window, nothing learned, the first wait when it opens. Totals stay.
    pub fn reset(&self) {
        self.circuit.reset();
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> BreakerSettings {
        self.circuit.settings()
    }

    /// Replaces the settings of all layers that share this breaker.
    ///
    /// The state stays, and so does the time at which an open circuit tries again. The window begins anew, and calls
    /// that are under way count in the totals alone: they began under other rules. A half-open circuit has all its
    /// permits again.
    ///
    /// # Errors
    /// Names the setting that is out of its range; then nothing has changed.
    ///
    /// # Example
    /// ```
    /// use campanile::CircuitBreaker;
    /// use campanile::breaker::BreakerSettings;
    ///
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let breaker = CircuitBreaker::builder("payments").build()?;
    /// breaker.reconfigure(BreakerSettings { failure_rate: 0.2, ..breaker.settings() })?;
    /// assert_eq!(breaker.settings().failure_rate, 0.2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reconfigure(&self, settings: BreakerSettings) -> Result<(), ConfigError> {
        self.circuit.reconfigure(settings)
    }

    /// The transitions from now on.
    #[must_use]
    pub fn subscribe(&self) -> Transitions {
        self.circuit.subscribers.subscribe()
    }

    /// A layer for any [`tower::Service`] that is `Clone`.
    ///
    /// The error type becomes [`tower::BoxError`]; a refusal is one that holds [`Rejected`](crate::Rejected).
    #[must_use]
    pub fn layer(&self) -> BreakerLayer {
        BreakerLayer::new(Arc::clone(&self.circuit))
    }

    /// Runs `work` if the circuit lets it, for code that is no service.
    ///
    /// Every error counts as a failure, of the kind that its causes tell. For an error type of your own that is no
    /// [`Cause`] see [`CircuitBreaker::call_with`].
    ///
    /// # Errors
    /// [`CallError::Rejected`] when the circuit refused, [`CallError::Inner`] when the work failed.
    ///
    /// # Example
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), campanile::ConfigError> {
    /// let breaker = campanile::CircuitBreaker::builder("db").build()?;
    /// let answer = breaker.call(async { Ok::<_, std::io::Error>(42) }).await;
    /// assert_eq!(answer.ok(), Some(42));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn call<T, E, F, K>(&self, work: F) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
        E: Cause<K>,
    {
        self.call_with(ByCause::new(ByResult), work).await
    }

    /// [`CircuitBreaker::call`] with a rule of one's own for what failed.
    ///
    /// # Errors
    /// As [`CircuitBreaker::call`].
    pub async fn call_with<T, E, F>(
        &self,
        classifier: impl Classify<T, E>,
        work: F,
    ) -> Result<T, CallError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let permit = self.permit().await.map_err(CallError::Rejected)?;
        let mut call = pin!(Guarded::new(work, permit));
        let result = call.as_mut().await;
        call.settle(classifier.classify(result.as_ref()));
        result.map_err(CallError::Inner)
    }

    /// A permit for a call that begins now; waits where [`BreakerSettings::half_open_queue`] lets it.
    async fn permit(&self) -> Result<Permit, Rejected> {
        let circuit = &self.circuit;
        loop {
            let admission = match circuit.machine.pass() {
                Some(admission) => admission,
                None => {
                    let mut wait = None;
                    poll_fn(|cx| poll_admit(circuit, Patience::Verdict, &mut wait, cx))
                        .await
                        .map_err(|refusal| *circuit.refuse(refusal))?
                }
            };
            if let Some(permit) = Permit::reserve(Arc::clone(circuit), admission).start() {
                return Ok(permit);
            }
        }
    }
}

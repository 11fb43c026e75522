//! The layer for any service.

use std::fmt;
use std::sync::Arc;

use tower::Layer;

use super::circuit::Circuit;
use super::gate::Gate;
use super::handle::CircuitBreaker;
use super::service::Breaker;
use super::wait::WaitMode;
use crate::base::bounds::CloneService;
use crate::base::outcome::ByResult;

impl CircuitBreaker {
    /// A layer for any [`tower::Service`] that is `Clone`.
    ///
    /// The error type becomes [`tower::BoxError`]. The error of a refused call holds [`Rejected`](crate::Rejected).
    ///
    /// Every `Ok` counts as a success. For responses with a status, such as `http::Response`, use `http_layer` or
    /// [`BreakerLayer::classify`]; otherwise the first call logs a warning.
    #[must_use]
    pub fn layer(&self) -> BreakerLayer {
        let circuit = Arc::clone(&self.circuit);
        BreakerLayer { circuit, classifier: ByResult, by_default: true, wait_mode: WaitMode::default() }
    }
}

/// Puts a service behind a circuit: see [`CircuitBreaker::layer`].
#[derive(Clone)]
pub struct BreakerLayer<C = ByResult> {
    circuit: Arc<Circuit>,
    classifier: C,
    /// Whether the classifier was not replaced.
    by_default: bool,
    wait_mode: WaitMode,
}

impl<C> BreakerLayer<C> {
    /// Replaces [`ByResult`], which decides what failed, by `classifier`: a closure, or any
    /// [`Classify`](crate::Classify)`<Response, BoxError>`.
    pub fn classify<D>(self, classifier: D) -> BreakerLayer<D> {
        BreakerLayer { circuit: self.circuit, classifier, by_default: false, wait_mode: self.wait_mode }
    }

    /// Makes the service unready while the circuit is open, instead of ready to refuse. Use it under a balancer, which then
    /// picks another service. Without a balancer, callers wait as long as the circuit is open.
    #[must_use]
    pub fn unready_while_open(mut self) -> Self {
        self.wait_mode = WaitMode::UntilAdmitted;
        self
    }
}

impl<S: CloneService, C: Clone> Layer<S> for BreakerLayer<C> {
    type Service = Breaker<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        let gate = Gate::new(inner, Arc::clone(&self.circuit), self.wait_mode);
        Breaker::new(gate, self.classifier.clone(), self.by_default)
    }
}

impl<C> fmt::Debug for BreakerLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerLayer").field("breaker", &self.circuit.name).finish_non_exhaustive()
    }
}

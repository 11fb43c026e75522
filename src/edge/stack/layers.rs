//! The handles of the layers, and the services that they make.

use super::classifier::ForCircuit;
use super::optional::Optional;
use crate::base::error::ByError;
use crate::base::outcome::ByHttpStatus;
use crate::dead_letter::{DeadLetterQueue, HttpDeadLetter};
use crate::layers::breaker::{CircuitBreaker, HttpBreaker};
use crate::layers::retry::{HttpRetrying, Retry};
use crate::layers::timing::{HttpTimed, Timing};
use crate::telemetry::{ClientSpanLayer, ClientSpans};

type WithSpans<S, K> = Optional<ClientSpans<S, K>, S>;
type WithTiming<S, K> = Optional<HttpTimed<S, ByHttpStatus, K>, S>;
type WithCircuit<S, K> = Optional<HttpBreaker<S, ForCircuit, K>, S>;
type WithRetry<S, K> = Optional<HttpRetrying<S, ByHttpStatus, K>, S>;
type WithLetters<S, K> = Optional<HttpDeadLetter<S, ByHttpStatus, K>, S>;

/// All layers around `S`, from the outside in: dead letters, retry, circuit, timing, client spans.
pub(crate) type Stack<S, K = ByError> =
    WithLetters<WithRetry<WithCircuit<WithTiming<WithSpans<S, K>, K>, K>, K>, K>;

/// The handles of the layers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    pub(crate) letters: Option<DeadLetterQueue>,
    pub(crate) retry: Option<Retry>,
    pub(crate) breaker: Option<CircuitBreaker>,
    pub(crate) timing: Option<Timing>,
    pub(crate) telemetry: Option<Spans>,
}

/// What client spans need.
#[derive(Clone, Debug)]
pub(crate) struct Spans {
    pub(crate) telemetry: crate::telemetry::Telemetry,
    pub(crate) component: std::sync::Arc<str>,
}

impl Spans {
    fn layer<K>(&self) -> ClientSpanLayer<K> {
        self.telemetry.http_client_layer().component(&self.component)
    }
}

impl Layers {
    /// Puts the layers around `service`, which sends one attempt.
    pub(crate) fn around<S: Clone, K>(&self, service: S) -> Stack<S, K> {
        let spans = self.telemetry.as_ref().map(Spans::layer);
        let timing = self.timing.as_ref().map(|timing| timing.http_client_layer());
        let circuit = self.breaker.as_ref().map(|breaker| breaker.http_layer().classify(ForCircuit));
        let retry = self.retry.as_ref().map(|retry| retry.http_layer());
        let letters = self.letters.as_ref().map(|queue| queue.http_layer());
        let timed = Optional::new(timing, Optional::new(spans, service));
        Optional::new(letters, Optional::new(retry, Optional::new(circuit, timed)))
    }
}

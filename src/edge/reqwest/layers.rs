//! The layers around a client, each of which may be absent.

use ::reqwest::Body;
use tower::BoxError;

use super::classifier::ForCircuit;
use super::optional::Optional;
use super::trace::{Traced, traced};
use crate::base::error::{CallError, Rejected, SendError, TimedOut};
use crate::dead_letter::{DeadLetterQueue, HttpDeadLetter};
use crate::layers::breaker::{CircuitBreaker, HttpBreaker};
use crate::layers::retry::{HttpRetrying, Retry};
use crate::layers::timing::{HttpTimed, Timing};

type WithTiming<S> = Optional<HttpTimed<S>, S>;
type WithCircuit<S> = Optional<HttpBreaker<S, ForCircuit>, S>;
type WithRetry<S> = Optional<HttpRetrying<S>, S>;
type WithLetters<S> = Optional<HttpDeadLetter<S>, S>;

/// All layers around `S`, from the outside in: dead letters, retry, circuit, timing, trace.
pub(super) type Stack<S> = WithLetters<WithRetry<WithCircuit<WithTiming<Traced<S>>>>>;

/// The handles of the layers.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    pub(super) letters: Option<DeadLetterQueue>,
    pub(super) retry: Option<Retry>,
    pub(super) breaker: Option<CircuitBreaker>,
    pub(super) timing: Option<Timing>,
}

impl Layers {
    /// Puts the layers around `service`, which sends one attempt.
    pub(super) fn around<S: Clone>(&self, service: S) -> Stack<S> {
        let timed =
            Optional::new(self.timing.as_ref().map(|timing| timing.http_client_layer()), traced(service));
        let circuit = self.breaker.as_ref().map(|breaker| breaker.http_layer().classify(ForCircuit));
        let retried =
            Optional::new(self.retry.as_ref().map(|retry| retry.http_layer()), Optional::new(circuit, timed));
        Optional::new(self.letters.as_ref().map(|queue| queue.http_layer()), retried)
    }
}

/// What a call through the layers came to. A refusal and a timeout of a layer, which are responses there, become errors.
pub(super) fn result_of<B, E>(
    result: Result<http::Response<B>, SendError<E>>,
) -> Result<http::Response<Body>, CallError<E>>
where
    B: http_body::Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + Sync + 'static,
{
    let mut response = result.map_err(|error| CallError::Inner(error.error))?;
    if let Some(rejected) = response.extensions_mut().remove::<Rejected>() {
        return Err(CallError::Rejected(rejected));
    }
    if let Some(timed_out) = response.extensions_mut().remove::<TimedOut>() {
        return Err(CallError::TimedOut(timed_out));
    }
    Ok(response.map(Body::wrap))
}

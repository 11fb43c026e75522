//! The same layers around a gRPC client, such as a channel of tonic.

use std::task::{Context, Poll};

use http::Request;
use tonic::body::Body;
use tower::Service;

use super::layers::{Layers, Spans};
use super::optional::Optional;
use crate::base::error::ByError;
use crate::base::outcome::ByGrpcStatus;
use crate::dead_letter::GrpcDeadLetter;
use crate::layers::breaker::HttpBreaker;
use crate::layers::replay::ReplayBody;
use crate::layers::retry::HttpRetrying;
use crate::layers::timing::HttpTimed;
use crate::telemetry::{ClientSpanLayer, ClientSpans};

type WithSpans<S, K> = Optional<ClientSpans<S, K>, S>;
type WithTiming<S, K> = Optional<HttpTimed<S, ByGrpcStatus, K>, S>;
type WithCircuit<S, K> = Optional<HttpBreaker<S, ByGrpcStatus, K>, S>;
type WithRetry<S, K> = Optional<HttpRetrying<S, ByGrpcStatus, K>, S>;
type WithLetters<S, K> = Optional<GrpcDeadLetter<S, ByGrpcStatus, K>, S>;

/// All layers around `S`, from the outside in: dead letters, retry, circuit, timing, client spans.
pub(crate) type GrpcStack<S, K = ByError> =
    WithLetters<WithRetry<WithCircuit<WithTiming<WithSpans<ForTonic<S>, K>, K>, K>, K>, K>;

impl Spans {
    fn grpc_layer<K>(&self) -> ClientSpanLayer<K> {
        self.telemetry.grpc_client_layer().component(&self.component)
    }
}

impl Layers {
    /// Puts the layers around `channel`, which sends one attempt.
    pub(crate) fn around_grpc<S: Clone, K>(&self, channel: S) -> GrpcStack<S, K> {
        let spans = self.telemetry.as_ref().map(Spans::grpc_layer);
        let timing = self.timing.as_ref().map(|timing| timing.grpc_client_layer());
        let circuit = self.breaker.as_ref().map(|breaker| breaker.grpc_layer());
        let retry = self.retry.as_ref().map(|retry| retry.grpc_layer());
        let letters = self.letters.as_ref().map(|queue| queue.grpc_layer());
        let timed = Optional::new(timing, Optional::new(spans, ForTonic(channel)));
        Optional::new(letters, Optional::new(retry, Optional::new(circuit, timed)))
    }
}

/// Gives a channel of tonic the body that it takes.
#[derive(Clone, Debug)]
pub struct ForTonic<S>(S);

impl<S: Service<Request<Body>>> Service<Request<ReplayBody>> for ForTonic<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<ReplayBody>) -> S::Future {
        self.0.call(request.map(Body::new))
    }
}

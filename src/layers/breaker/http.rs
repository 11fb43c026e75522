//! The layers for HTTP and gRPC: a refusal is a response, and the error type of the service stays.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::response::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::circuit::Circuit;
use super::gate::Gate;
use super::handle::CircuitBreaker;
use super::permit::Permit;
use super::wait::WaitMode;
use crate::base::bounds::{CloneService, HttpService};
use crate::base::error::{ByError, Cause, Rejected};
use crate::base::outcome::{ByCause, ByHttpStatus, Classify, ObservedBody, Streamed};
#[cfg(feature = "grpc")]
use crate::base::outcome::{ByGrpcStatus, grpc_message};

/// The response body of the layers; empty if the circuit refused the call.
pub(super) type ResponseBody<B, C, K> = ObservedBody<B, ByCause<C, K>, Permit>;

pub(super) type Refuse = fn(&Rejected) -> Response<()>;

impl CircuitBreaker {
    /// A layer for services of `http::Request` and `http::Response`, on servers (such as by axum's
    /// `Router::layer`) and on clients.
    ///
    /// A refusal is a 503 response with an empty body, `Retry-After` in seconds if the wait is known, and the [`Rejected`]
    /// among its extensions. [`ByHttpStatus`] decides what failed.
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn http_layer<K>(&self) -> HttpBreakerLayer<ByHttpStatus, K> {
        HttpBreakerLayer::new(self, ByHttpStatus, refuse_http)
    }

    /// A layer for gRPC services over HTTP, such as tonic's, on servers and on clients.
    ///
    /// The outcome is the `grpc-status` in the trailers. A refusal is `UNAVAILABLE` with `grpc-retry-pushback-ms`
    /// if the wait is known. [`ByGrpcStatus`] decides what failed.
    #[must_use]
    #[cfg(feature = "grpc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc_layer<K>(&self) -> HttpBreakerLayer<ByGrpcStatus, K> {
        HttpBreakerLayer::new(self, ByGrpcStatus, refuse_grpc)
    }
}

pub(super) fn refuse_http(rejected: &Rejected) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    if let Some(wait) = rejected.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    response
}

/// Rounded up and never 0, so that a client does not come back too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(feature = "grpc")]
pub(super) fn refuse_grpc(rejected: &Rejected) -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static("14"));
    if let Some(message) = grpc_message(&rejected.to_string()) {
        headers.insert("grpc-message", message);
    }
    if let Some(wait) = rejected.retry_after() {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        headers.insert("grpc-retry-pushback-ms", HeaderValue::from(millis));
    }
    response
}

/// Puts an HTTP or gRPC service behind a circuit: see [`CircuitBreaker::http_layer`].
///
/// `K` is inferred: see [`Cause`](crate::base::error::Cause).
pub struct HttpBreakerLayer<C = ByHttpStatus, K = ByError> {
    circuit: Arc<Circuit>,
    classifier: ByCause<C, K>,
    refuse: Refuse,
    wait_mode: WaitMode,
}

cloned! { HttpBreakerLayer<C; K> { circuit, classifier, refuse, wait_mode } }

impl<C, K> HttpBreakerLayer<C, K> {
    fn new(breaker: &CircuitBreaker, classifier: C, refuse: Refuse) -> Self {
        Self {
            circuit: Arc::clone(&breaker.circuit),
            classifier: ByCause::new(classifier),
            refuse,
            wait_mode: WaitMode::default(),
        }
    }

    /// Sets the classifier that decides what failed: a [`Classify`]`<http::response::Parts>`.
    pub fn classify<D>(self, classifier: D) -> HttpBreakerLayer<D, K> {
        let classifier = self.classifier.with(classifier);
        HttpBreakerLayer { circuit: self.circuit, classifier, refuse: self.refuse, wait_mode: self.wait_mode }
    }

    /// Makes the service unready while the circuit is open, instead of ready to refuse. Use it under a balancer, which then
    /// picks another service. Without a balancer, callers wait as long as the circuit is open.
    #[must_use]
    pub fn unready_while_open(mut self) -> Self {
        self.wait_mode = WaitMode::UntilAdmitted;
        self
    }
}

impl<S: CloneService, C: Clone, K> Layer<S> for HttpBreakerLayer<C, K> {
    type Service = HttpBreaker<S, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpBreaker {
            gate: Gate::new(inner, Arc::clone(&self.circuit), self.wait_mode),
            classifier: self.classifier.clone(),
            refuse: self.refuse,
        }
    }
}

impl<C, K> fmt::Debug for HttpBreakerLayer<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpBreakerLayer").field("breaker", &self.circuit.name).finish_non_exhaustive()
    }
}

/// An HTTP or gRPC service behind a circuit; made by [`HttpBreakerLayer`].
#[derive(Debug)]
pub struct HttpBreaker<
    S,                // a `Service<http::Request<_>, Response = http::Response<_>> + Clone`
    C = ByHttpStatus, // a `Classify<http::response::Parts>`
    K = ByError,      // the error of `S` is a `Cause<K>`
> {
    gate: Gate<S>,
    classifier: ByCause<C, K>,
    refuse: Refuse,
}

cloned! { HttpBreaker<S, C; K> { gate, classifier, refuse } }

#[cfg(feature = "grpc")]
named! { HttpBreaker<S, C, K> }

impl<S, C, K, ReqBody, ResBody> Service<Request<ReqBody>> for HttpBreaker<S, C, K>
where
    S: HttpService<ReqBody, ResBody = ResBody> + CloneService,
    S::Err: Cause<K>,
    ResBody: Body,
    C: Classify<Parts> + Clone,
{
    type Response = Response<ResponseBody<ResBody, C, K>>;
    type Error = S::Error;
    type Future = HttpResponseFuture<S::Future, ByCause<C, K>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.gate.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let to_head = request.method() == Method::HEAD;
        HttpResponseFuture::new(self.gate.call(request), to_head, &self.classifier, self.refuse)
    }
}

pin_project! {
    /// The future of [`HttpBreaker`].
    pub struct HttpResponseFuture<F, C> {
        #[pin]
        state: State<F, C>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, C> {
        Called { #[pin] call: Streamed<F, C, Permit> },
        Refused { rejected: Option<Box<Rejected>>, refuse: Refuse },
    }
}

impl<F, C: Clone> HttpResponseFuture<F, C> {
    #[inline]
    pub(super) fn new(
        called: Result<(F, Permit), Box<Rejected>>,
        to_head: bool,
        classifier: &C,
        refuse: Refuse,
    ) -> Self {
        let state = match called {
            Ok((future, permit)) => {
                State::Called { call: Streamed::new(future, to_head, classifier.clone(), permit) }
            }
            Err(rejected) => State::Refused { rejected: Some(rejected), refuse },
        };
        Self { state }
    }
}

impl<F, C, B, E> Future for HttpResponseFuture<F, C>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    C: Classify<Parts, E>,
{
    type Output = Result<Response<ObservedBody<B, C, Permit>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Called { call } => call.poll(cx),
            StateProjection::Refused { rejected, refuse } => match rejected.take() {
                Some(rejected) => {
                    let mut response = refuse(&rejected).map(|()| ObservedBody::refused());
                    response.extensions_mut().insert(*rejected);
                    Poll::Ready(Ok(response))
                }
                None => panic!("the future of a circuit breaker was polled after completion"),
            },
        }
    }
}

impl<F, C> fmt::Debug for HttpResponseFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = matches!(self.state, State::Refused { .. });
        f.debug_struct("HttpResponseFuture").field("refused", &refused).finish_non_exhaustive()
    }
}

//! The layer that reads, on a server.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use http::Request;
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::carrier::Headers;
use super::{formats, ignored};
use crate::telemetry::correlation;

/// Takes trace context and baggage out of the headers of requests, on a server.
///
/// The service below runs inside that context: its spans belong to the caller's trace. It fits axum, tonic and any other
/// service for [`http::Request`]. The formats are those of the installed [`Telemetry`](crate::Telemetry), else W3C
/// trace context and baggage.
///
/// What is malformed counts as absent, and in the metric `campanile.telemetry.propagation.malformed`: the whole of a
/// `traceparent`, also when there are two of them, or a `tracestate`; of baggage the entry, and whatever is beyond 64
/// entries or 8,192 bytes.
///
/// # Example
/// ```
/// use campanile::telemetry;
/// use tower::{ServiceBuilder, service_fn};
///
/// let service = ServiceBuilder::new()
///     .layer(telemetry::http_propagation_layer())
///     .service(service_fn(|_: http::Request<String>| async {
///         let _span = tracing::info_span!("handler"); // a child of the caller's span
///         Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
///     }));
/// # let _ = service;
/// ```
#[must_use]
pub fn http_propagation_layer() -> HttpPropagationLayer {
    ignored::expect();
    HttpPropagationLayer { propagator: None }
}

type Custom = Arc<dyn TextMapPropagator + Send + Sync>;

/// See [`http_propagation_layer`].
#[derive(Clone, Debug)]
pub struct HttpPropagationLayer {
    propagator: Option<Custom>,
}

impl HttpPropagationLayer {
    /// Uses other formats: see [`propagator`](crate::telemetry::propagator).
    #[must_use]
    pub fn with_propagator(self, propagator: Arc<dyn TextMapPropagator + Send + Sync>) -> Self {
        Self { propagator: Some(propagator) }
    }
}

impl<S> Layer<S> for HttpPropagationLayer {
    type Service = HttpPropagation<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpPropagation { inner, propagator: self.propagator.clone() }
    }
}

/// See [`http_propagation_layer`].
#[derive(Clone, Debug)]
pub struct HttpPropagation<S> {
    inner: S,
    propagator: Option<Custom>,
}

impl<S> HttpPropagation<S> {
    /// What the request says, if it says anything.
    fn context<B>(&self, request: &Request<B>) -> Option<Context> {
        // Into an empty context: what is active here is the server's own, not the caller's. The id of the request is
        // the request's, and stays.
        let base = correlation::of_request(request).map(|id| id.within(&Context::new()));
        let empty = Context::new();
        let into = base.as_ref().unwrap_or(&empty);
        let read = match &self.propagator {
            Some(propagator) => {
                let read = propagator.extract_with_context(into, &Headers(request.headers()));
                (read.has_active_span() || !read.baggage().is_empty()).then_some(read)
            }
            None => formats::with_chosen(|formats| formats.read(into, request.headers())),
        };
        read.or(base)
    }
}

impl<S, B> Service<Request<B>> for HttpPropagation<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = HttpPropagationFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let context = self.context(&request);
        let attached = context.clone().map(Context::attach);
        let inner = self.inner.call(request);
        drop(attached);
        HttpPropagationFuture { inner, context }
    }
}

pin_project! {
    /// The future of [`HttpPropagation`].
    #[derive(Debug)]
    pub struct HttpPropagationFuture<F> {
        #[pin]
        inner: F,
        context: Option<Context>,
    }
}

impl<F: Future> Future for HttpPropagationFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _attached = this.context.clone().map(Context::attach);
        this.inner.poll(cx)
    }
}

//! The layer of servers, which reads headers.

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
use super::correlation::of_request;
use super::{formats, ignored};

/// Returns a layer for servers that reads trace context and baggage from the headers of requests.
///
/// The inner service runs in that context, so its spans belong to the caller's trace. The layer works with axum, tonic and any
/// other service of [`http::Request`]. The formats are those of the installed [`Telemetry`](crate::Telemetry), otherwise W3C
/// trace context and baggage.
///
/// Malformed headers are ignored and counted in `campanile.telemetry.propagation.malformed`: a malformed or second
/// `traceparent`, a malformed `tracestate`, a malformed entry of baggage, and baggage beyond 64 entries or 8,192 bytes.
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
    ignored::register();
    HttpPropagationLayer { propagator: None }
}

type SharedPropagator = Arc<dyn TextMapPropagator + Send + Sync>;

/// A layer for servers that reads trace context and baggage from headers: see [`http_propagation_layer`].
#[derive(Clone, Debug)]
pub struct HttpPropagationLayer {
    propagator: Option<SharedPropagator>,
}

impl HttpPropagationLayer {
    /// Sets other formats: see [`propagator`](crate::telemetry::propagator).
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

/// A service that runs in the trace context of its caller; made by [`HttpPropagationLayer`].
#[derive(Clone, Debug)]
pub struct HttpPropagation<S> {
    inner: S,
    propagator: Option<SharedPropagator>,
}

impl<S> HttpPropagation<S> {
    /// The context in the request, if there is one.
    fn context<B>(&self, request: &Request<B>) -> Option<Context> {
        // Into an empty context, since the active one is the server's own, not the caller's. The correlation id of the
        // request stays.
        let base = of_request(request).map(|id| id.within(&Context::new()));
        let empty = Context::new();
        let into = base.as_ref().unwrap_or(&empty);
        let read = match &self.propagator {
            Some(propagator) => {
                let read = propagator.extract_with_context(into, &Headers(request.headers()));
                (read.has_active_span() || !read.baggage().is_empty()).then_some(read)
            }
            None => formats::with_installed(|formats| formats.read(into, request.headers())),
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

//! Trace context and baggage across processes, over HTTP.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::context::current_context;
use super::propagators;

type Propagator = Arc<dyn TextMapPropagator + Send + Sync>;

/// Takes trace context and baggage out of the headers of requests, on a server.
///
/// The service below runs inside that context: its spans belong to the caller's trace. A header that is
/// malformed counts as absent. The formats are those of the installed [`Telemetry`](super::Telemetry), else
/// W3C trace context and baggage.
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
    HttpPropagationLayer { propagator: None }
}

/// Puts trace context and baggage into the headers of requests, on a client.
///
/// The formats are those of the installed [`Telemetry`](super::Telemetry), else W3C trace context and baggage.
#[must_use]
pub fn http_injection_layer() -> HttpInjectionLayer {
    HttpInjectionLayer { propagator: None }
}

// ===== impl HttpPropagationLayer =====

/// See [`http_propagation_layer`].
#[derive(Clone)]
pub struct HttpPropagationLayer {
    propagator: Option<Propagator>,
}

impl HttpPropagationLayer {
    /// Uses other formats.
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
#[derive(Clone)]
pub struct HttpPropagation<S> {
    inner: S,
    propagator: Option<Propagator>,
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
        let headers = Headers(request.headers());
        // Into an empty context: what is active here is the server's own, not the caller's.
        let extract = |propagator: &(dyn TextMapPropagator + Send + Sync)| {
            propagator.extract_with_context(&Context::new(), &headers)
        };
        let context = match &self.propagator {
            Some(propagator) => extract(&**propagator),
            None => extract(&**propagators::chosen()),
        };
        if context.has_active_span() || !context.baggage().is_empty() {
            let attached = context.clone().attach();
            let inner = self.inner.call(request);
            drop(attached);
            HttpPropagationFuture { inner, context: Some(context) }
        } else {
            HttpPropagationFuture { inner: self.inner.call(request), context: None }
        }
    }
}

pin_project! {
    /// The future of [`HttpPropagation`].
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
        let output = ready!(this.inner.poll(cx));
        Poll::Ready(output)
    }
}

// ===== impl HttpInjectionLayer =====

/// See [`http_injection_layer`].
#[derive(Clone)]
pub struct HttpInjectionLayer {
    propagator: Option<Propagator>,
}

impl HttpInjectionLayer {
    /// Uses other formats.
    #[must_use]
    pub fn with_propagator(self, propagator: Arc<dyn TextMapPropagator + Send + Sync>) -> Self {
        Self { propagator: Some(propagator) }
    }
}

impl<S> Layer<S> for HttpInjectionLayer {
    type Service = HttpInjection<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpInjection { inner, propagator: self.propagator.clone() }
    }
}

/// See [`http_injection_layer`].
#[derive(Clone)]
pub struct HttpInjection<S> {
    inner: S,
    propagator: Option<Propagator>,
}

impl<S, B> Service<Request<B>> for HttpInjection<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let context = current_context();
        let mut headers = HeadersMut(request.headers_mut());
        match &self.propagator {
            Some(propagator) => propagator.inject_context(&context, &mut headers),
            None => propagators::chosen().inject_context(&context, &mut headers),
        }
        self.inner.call(request)
    }
}

// ===== impl Headers =====

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let all: Vec<_> = self.0.get_all(key).iter().filter_map(|value| value.to_str().ok()).collect();
        (!all.is_empty()).then_some(all)
    }
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

// ===== impl Debug =====

macro_rules! debug {
    ($($name:ident $(<$of:ident>)?),*) => {
        $(
            impl $(<$of: fmt::Debug>)? fmt::Debug for $name $(<$of>)? {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    let mut debug = f.debug_struct(stringify!($name));
                    $(
                        let inner: &$of = &self.inner;
                        debug.field("inner", inner);
                    )?
                    debug.finish_non_exhaustive()
                }
            }
        )*
    };
}

debug!(
    HttpPropagationLayer,
    HttpPropagation<S>,
    HttpPropagationFuture<F>,
    HttpInjectionLayer,
    HttpInjection<S>
);

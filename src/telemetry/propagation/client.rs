//! The layer of clients, which writes headers.

use std::sync::Arc;
use std::task::{self, Poll};

use http::{HeaderName, HeaderValue, Request};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use tower::{Layer, Service};

use super::carrier::HeadersMut;
use super::correlation::{self, X_REQUEST_ID};
use super::formats;
use crate::base::error::ConfigError;
use crate::telemetry::context::current_context;
use crate::telemetry::correlation::of;

/// Returns a layer for clients that writes trace context, baggage and the correlation id into the headers of requests.
///
/// The formats are those of the installed [`Telemetry`](crate::Telemetry), otherwise W3C trace context and baggage. The
/// headers of a current span or baggage replace those of the request, because headers that a proxy copied from its caller
/// name the wrong parent. Without a span or baggage, the request's headers stay. The correlation id
/// ([`http_correlation_layer`](crate::telemetry::http_correlation_layer)) is written to `x-request-id`, unless the request
/// has that header.
///
/// Put it inside of [`Retry`](crate::Retry), so that each attempt names its own span.
///
/// # Example
/// ```
/// use campanile::{Retry, telemetry};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// let client = ServiceBuilder::new()
///     .layer(Retry::builder().build()?.http_layer())
///     .layer(telemetry::http_injection_layer())
///     .service(service_fn(|request: http::Request<campanile::retry::ReplayBody>| async move {
///         Ok::<_, std::convert::Infallible>(http::Response::new(request.into_body()))
///     }));
/// # async {
/// let response = client.oneshot(http::Request::new(axum::body::Body::empty())).await;
/// # response };
/// # Ok::<(), campanile::ConfigError>(())
/// ```
#[must_use]
pub fn http_injection_layer() -> HttpInjectionLayer {
    HttpInjectionLayer { propagator: None, correlation: X_REQUEST_ID }
}

type SharedPropagator = Arc<dyn TextMapPropagator + Send + Sync>;

/// A layer for clients that writes trace context, baggage and the correlation id into headers: see [`http_injection_layer`].
#[derive(Clone, Debug)]
pub struct HttpInjectionLayer {
    propagator: Option<SharedPropagator>,
    correlation: HeaderName,
}

impl HttpInjectionLayer {
    /// Sets other formats: see [`propagator`](crate::telemetry::propagator).
    #[must_use]
    pub fn with_propagator(self, propagator: Arc<dyn TextMapPropagator + Send + Sync>) -> Self {
        Self { propagator: Some(propagator), ..self }
    }

    /// Sets the header of the correlation id.
    ///
    /// # Errors
    /// Returns an error if `name` is not a valid header name.
    pub fn correlation_header(self, name: &str) -> Result<Self, ConfigError> {
        Ok(Self { correlation: correlation::header("correlation_header", name)?, ..self })
    }
}

impl<S> Layer<S> for HttpInjectionLayer {
    type Service = HttpInjection<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpInjection { inner, layer: self.clone() }
    }
}

/// A client whose requests carry trace context, baggage and the correlation id; made by [`HttpInjectionLayer`].
#[derive(Clone, Debug)]
pub struct HttpInjection<S> {
    inner: S,
    layer: HttpInjectionLayer,
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
        let headers = request.headers_mut();
        match &self.layer.propagator {
            Some(propagator) => propagator.inject_context(&context, &mut HeadersMut(headers)),
            None => formats::with_installed(|formats| formats.write(&context, headers)),
        }
        let id = |context: &Context| of(context).and_then(|id| HeaderValue::from_str(id).ok());
        // The current span may have been created before the id.
        if let Some(id) = id(&context).or_else(|| Context::map_current(id))
            && !headers.contains_key(&self.layer.correlation)
        {
            let _ = headers.try_insert(self.layer.correlation.clone(), id);
        }
        self.inner.call(request)
    }
}

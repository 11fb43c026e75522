//! The layer that reads or creates the correlation id of a request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use opentelemetry::Context;
use opentelemetry::trace::{SpanId, TraceContextExt, TraceId};
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tracing::Span;

use super::ignored::{self, Header, Reason};
use crate::base::error::ConfigError;
use crate::telemetry::correlation::{CorrelationId, FIELD, id_of};

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// Returns a layer that reads the correlation id of a request from its headers, or creates one, and passes it on.
///
/// It comes from `x-request-id` or `x-correlation-id`, then from the caller's baggage, otherwise it is a new UUID. An id of
/// more than 128 characters, with other characters than visible ASCII, or that occurs twice, is replaced and counted in
/// `campanile.telemetry.propagation.malformed`. The id is
/// - an extension of the request, [`CorrelationId`];
/// - in the OpenTelemetry context of the inner service, and as `correlation.id` in its baggage; and in the field
///   `correlation_id` of the current span, if it declares that field;
/// - in the response, in the header in which it came, unless the service sets that header;
/// - on every call that the service makes through [`http_injection_layer`](crate::telemetry::http_injection_layer).
///
/// Put it directly inside of [`http_propagation_layer`](crate::telemetry::http_propagation_layer), and outside of layers that
/// make spans.
///
/// # Example
/// ```
/// use axum::{Extension, Router, routing::get};
/// use campanile::telemetry::{self, CorrelationId};
/// use tower::ServiceBuilder;
///
/// let app: Router = Router::new()
///     .route("/", get(|Extension(id): Extension<CorrelationId>| async move { id.to_string() }))
///     .layer(
///         ServiceBuilder::new()
///             .layer(telemetry::http_propagation_layer())
///             .layer(telemetry::http_correlation_layer()),
///     );
/// # let _ = app;
/// ```
#[must_use]
pub fn http_correlation_layer() -> HttpCorrelationLayer {
    ignored::register();
    HttpCorrelationLayer { headers: Arc::new([X_REQUEST_ID, X_CORRELATION_ID]), trust: true }
}

/// The id of a request.
pub(super) fn of_request<B>(request: &Request<B>) -> Option<&CorrelationId> {
    request.extensions().get()
}

pub(super) fn header(setting: &'static str, name: &str) -> Result<HeaderName, ConfigError> {
    HeaderName::try_from(name)
        .map_err(|_| ConfigError::new(setting, format_args!("{name:?}"), "a valid header name"))
}

/// A layer for servers that gives each request a correlation id: see [`http_correlation_layer`].
#[derive(Clone, Debug)]
pub struct HttpCorrelationLayer {
    /// At least one.
    headers: Arc<[HeaderName]>,
    trust: bool,
}

impl HttpCorrelationLayer {
    /// Sets the headers of ids, in order of preference. An id that came in none of them is sent in the first.
    ///
    /// # Errors
    /// Returns an error if there is none, or one is not a valid header name.
    ///
    /// # Example
    /// ```
    /// use campanile::telemetry;
    ///
    /// let layer = telemetry::http_correlation_layer().headers(["x-amzn-trace-id"])?;
    /// assert!(layer.headers(["not a header"]).is_err());
    /// # Ok::<(), campanile::ConfigError>(())
    /// ```
    pub fn headers<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        let names = names.into_iter().map(|name| header("headers", name));
        let headers = names.collect::<Result<Arc<[_]>, _>>()?;
        ConfigError::check(!headers.is_empty(), "headers", &headers, "at least one header")?;
        Ok(Self { headers, ..self })
    }

    /// Sets whether ids of callers are accepted. Default `true`. Set it to `false` at the edge, where a caller could use
    /// the id of another.
    #[must_use]
    pub fn trust_callers(self, trust: bool) -> Self {
        Self { trust, ..self }
    }

    /// The id in the request, and its header.
    fn named(&self, headers: &HeaderMap) -> Option<(CorrelationId, usize)> {
        self.headers.iter().enumerate().find_map(|(place, name)| {
            let mut values = headers.get_all(name).iter();
            let value = values.next()?;
            let reason = match value.to_str().ok().map(str::parse) {
                _ if values.next().is_some() => Reason::Repeated,
                Some(Ok(id)) => return Some((id, place)),
                _ if value.len() > CorrelationId::MAX_LENGTH => Reason::TooLarge,
                _ => Reason::Malformed,
            };
            ignored::count(Header::CorrelationId, reason);
            None
        })
    }

    /// The id of a request, and the header of the response.
    fn id(&self, headers: &HeaderMap) -> (CorrelationId, usize) {
        if !self.trust {
            return (CorrelationId::generate(), 0);
        }
        self.named(headers).unwrap_or_else(|| {
            let caller = Context::map_current(id_of);
            (caller.unwrap_or_else(CorrelationId::generate), 0)
        })
    }
}

impl<S> Layer<S> for HttpCorrelationLayer {
    type Service = HttpCorrelation<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpCorrelation { inner, layer: self.clone() }
    }
}

/// A service whose requests have a correlation id; made by [`HttpCorrelationLayer`].
#[derive(Clone, Debug)]
pub struct HttpCorrelation<S> {
    inner: S,
    layer: HttpCorrelationLayer,
}

impl<S, B, R> Service<Request<B>> for HttpCorrelation<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = HttpCorrelationFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (id, place) = self.layer.id(request.headers());
        Span::current().record(FIELD, id.as_str());
        request.extensions_mut().insert(id.clone());
        let mut scope = Scope { made_in: (TraceId::INVALID, SpanId::INVALID), context: None, id };
        let attached = scope.attach();
        let inner = self.inner.call(request);
        drop(attached);
        HttpCorrelationFuture { inner, scope, headers: Arc::clone(&self.layer.headers), place }
    }
}

/// The context of a request.
#[derive(Debug)]
struct Scope {
    id: CorrelationId,
    context: Option<Context>,
    /// The span that was active when it was made.
    made_in: (TraceId, SpanId),
}

impl Scope {
    /// Makes the context again if another span is active than before, or the same in another trace.
    fn attach(&mut self) -> opentelemetry::ContextGuard {
        let active = Context::map_current(|context| {
            let span = context.span();
            (span.span_context().trace_id(), span.span_context().span_id())
        });
        match &self.context {
            Some(context) if self.made_in == active => context.clone().attach(),
            _ => {
                let context = self.id.within(&Context::current());
                (self.context, self.made_in) = (Some(context.clone()), active);
                context.attach()
            }
        }
    }
}

pin_project! {
    /// The future of [`HttpCorrelation`].
    #[derive(Debug)]
    pub struct HttpCorrelationFuture<F> {
        #[pin]
        inner: F,
        scope: Scope,
        headers: Arc<[HeaderName]>,
        place: usize,
    }
}

impl<F, R, E> Future for HttpCorrelationFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let attached = this.scope.attach();
        let mut answer = ready!(this.inner.poll(cx));
        drop(attached);
        if let (Ok(response), Some(name)) = (&mut answer, this.headers.get(*this.place))
            && !response.headers().contains_key(name)
            && let Ok(id) = HeaderValue::from_str(this.scope.id.as_str())
        {
            // A response with 32,768 header fields has no room for it.
            let _ = response.headers_mut().try_insert(name.clone(), id);
        }
        Poll::Ready(answer)
    }
}

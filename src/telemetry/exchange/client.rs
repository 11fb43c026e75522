//! The layer of clients, which makes a span for each request and writes headers.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{self, Poll};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body::Body;
use opentelemetry::Context;
use tower::{Layer, Service};
use tracing::{Level, Span, level_enabled};

use super::body::SpanBody;
use super::future::SpanFuture;
#[cfg(feature = "grpc")]
use super::grpc_span;
use super::http_span::{self, Known};
use super::names::Names;
use super::observed::{More, Observed};
use super::side::Side;
use crate::base::conventions::method_index;
use crate::base::error::{ByError, Cause, ConfigError};
use crate::telemetry::context::current_context;
use crate::telemetry::correlation::of;
use crate::telemetry::pipeline::Telemetry;
use crate::telemetry::propagation::{Exchanged, SharedPropagator, X_REQUEST_ID, header};

impl Telemetry {
    /// A layer for an HTTP client: a span for each request, whose context goes to the server.
    ///
    /// It writes trace context and baggage into the headers of the request. The headers of the span replace those of the
    /// request, because headers that a proxy copied from its caller name the wrong parent. Without a span or baggage, the
    /// request's headers stay. The [correlation id](crate::telemetry::ServerSpanLayer::correlation) is written to
    /// `x-request-id`, unless the request has that header. The layer also works without an installed pipeline.
    ///
    /// # The span
    /// Its kind is `CLIENT`. Its name is `{method}`, or `{method} {template}` if the request has a [`UrlTemplate`]. It ends with
    /// the last byte of the response. Statuses from 400 on are errors, and so are errors of the connection, and a request that
    /// was dropped before its response (`cancelled`, or `timeout` if a layer of this crate did it). A response that is dropped
    /// before its end is an error if the stream had [stalled](crate::outcome#streams), here for a second.
    ///
    /// The attributes are those of the stable [conventions for HTTP](https://opentelemetry.io/docs/specs/semconv/http/):
    /// method, URL without credentials and other secrets, template, scheme, status, host and port of the server, version of the
    /// protocol, user agent, and sizes of bodies. Put the layer inside of [`Retry`](crate::Retry), so that each attempt has its
    /// span, with `http.request.resend_count`. Outside of it, one span has the number of all resends.
    ///
    /// # Metrics
    /// As for [servers](Self::http_server_layer): `campanile.span.duration` and the vital signs of the
    /// [component](ClientSpanLayer::component) count the span, and [`Timing`](crate::Timing) alone records
    /// `http.client.request.duration`.
    ///
    /// # Example
    /// ```
    /// use campanile::{Retry, Telemetry};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let telemetry = Telemetry::builder("shop").build()?;
    /// let client = ServiceBuilder::new()
    ///     .layer(Retry::builder().build()?.http_layer())
    ///     .layer(telemetry.http_client_layer().component("payments"))
    ///     .service(service_fn(|request: http::Request<campanile::retry::ReplayBody>| async move {
    ///         Ok::<_, std::convert::Infallible>(http::Response::new(request.into_body()))
    ///     }));
    /// # async {
    /// let response = client.oneshot(http::Request::new(axum::body::Body::empty())).await;
    /// # response };
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn http_client_layer<K>(&self) -> ClientSpanLayer<K> {
        ClientSpanLayer::new(self, Side::HttpClient)
    }

    /// A layer for a gRPC client such as a channel of tonic: a span for each call, whose context goes to the server.
    ///
    /// It is like [`http_client_layer`](Self::http_client_layer), with the
    /// [conventions for RPC](https://opentelemetry.io/docs/specs/semconv/rpc/): the name is `{package.Service}/{Method}`, and
    /// the attributes are method, code, and host and port of the server, if the URI of the request has them (inside of a channel of
    /// tonic it does). Every code except `OK` is an error. A call that is
    /// dropped before its end has the code `CANCELLED`.
    ///
    /// # Example
    /// ```
    /// use campanile::Telemetry;
    /// use tonic::transport::Channel;
    /// use tonic_health::pb::health_client::HealthClient;
    /// use tower::ServiceBuilder;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), campanile::telemetry::TelemetryError> {
    /// let telemetry = Telemetry::builder("shop").build()?;
    /// let channel = Channel::from_static("http://127.0.0.1:50051").connect_lazy();
    /// let channel = ServiceBuilder::new().layer(telemetry.grpc_client_layer()).service(channel);
    /// let client = HealthClient::new(channel);
    /// # let _ = client;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[cfg(feature = "grpc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc_client_layer<K>(&self) -> ClientSpanLayer<K> {
        ClientSpanLayer::new(self, Side::GrpcClient)
    }
}

/// The template of the URL of a request, such as `/orders/{id}`. An extension of the request: the
/// [layer of clients](Telemetry::http_client_layer) names the span by it.
///
/// # Example
/// ```
/// use campanile::telemetry::UrlTemplate;
///
/// let request = http::Request::get("http://shop/orders/17")
///     .extension(UrlTemplate::new("/orders/{id}")) // the span `GET /orders/{id}`
///     .body(())?;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlTemplate(Cow<'static, str>);

impl UrlTemplate {
    /// A template. Use few, because each is a series of metrics.
    #[must_use]
    pub fn new(template: impl Into<Cow<'static, str>>) -> Self {
        Self(template.into())
    }
}

#[derive(Clone, Debug)]
struct Settings {
    side: Side,
    names: Arc<Names>,
    exchanged: Exchanged,
    correlation: HeaderName,
}

/// Makes a span for each request of a client: see [`Telemetry::http_client_layer`].
///
/// `K` is inferred: see [`Cause`](crate::error::Cause).
pub struct ClientSpanLayer<K = ByError> {
    settings: Settings,
    kind: PhantomData<fn() -> K>,
}

impl<K> ClientSpanLayer<K> {
    fn new(telemetry: &Telemetry, side: Side) -> Self {
        let inner = &telemetry.inner;
        let settings = Settings {
            side,
            names: Names::new(&inner.layer.core, side.component()),
            exchanged: Exchanged::new(&inner.propagator),
            correlation: X_REQUEST_ID,
        };
        Self { settings, kind: PhantomData }
    }

    /// Sets the component that the spans count for, such as the name of the dependency. Default: `http_client` or
    /// `grpc_client`.
    #[must_use]
    pub fn component(mut self, component: &str) -> Self {
        self.settings.names = Names::new(&self.settings.names.core, component);
        self
    }

    /// Sets other formats of headers: see [`propagator`](crate::telemetry::propagator). Default: those of the pipeline.
    #[must_use]
    pub fn propagator(mut self, propagator: SharedPropagator) -> Self {
        self.settings.exchanged = Exchanged::Other(propagator);
        self
    }

    /// Sets the header of the correlation id. Default: `x-request-id`.
    ///
    /// # Errors
    /// Returns an error if `name` is not a valid header name.
    pub fn correlation_header(mut self, name: &str) -> Result<Self, ConfigError> {
        self.settings.correlation = header("correlation_header", name)?;
        Ok(self)
    }
}

impl<K> Clone for ClientSpanLayer<K> {
    fn clone(&self) -> Self {
        Self { settings: self.settings.clone(), kind: PhantomData }
    }
}

impl<K> fmt::Debug for ClientSpanLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSpanLayer").field("settings", &self.settings).finish()
    }
}

impl<S, K> Layer<S> for ClientSpanLayer<K> {
    type Service = ClientSpans<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        ClientSpans { inner, settings: Arc::new(self.settings.clone()), kind: PhantomData }
    }
}

/// A client with a span for each request; made by [`ClientSpanLayer`].
pub struct ClientSpans<S, K = ByError> {
    inner: S,
    settings: Arc<Settings>,
    kind: PhantomData<fn() -> K>,
}

cloned! { ClientSpans<S; K> { inner, settings, kind } }

impl<S: fmt::Debug, K> fmt::Debug for ClientSpans<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSpans").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Settings {
    /// The span of a request.
    fn span(&self, parts: &Parts) -> Span {
        #[cfg(feature = "grpc")]
        if self.side.is_grpc() {
            return self
                .names
                .grpc(grpc_span::method(parts), |name| grpc_span::of_client(&self.names, name, parts));
        }
        let method = method_index(&parts.method);
        let route = parts.extensions.get::<UrlTemplate>().map(|template| &*template.0);
        self.names.http(method, route.unwrap_or_default(), |name| {
            let known =
                Known { method, route, forwarded: None, correlation: None, resend: resend_count(parts) };
            http_span::of_client(&self.names, name, parts, known)
        })
    }

    /// Writes the context of the current span, and the correlation id.
    fn write(&self, headers: &mut HeaderMap) {
        let context = current_context();
        self.exchanged.write(&context, headers);
        let id = |context: &Context| of(context).and_then(|id| HeaderValue::from_str(id).ok());
        // The current span may have been created before the id.
        if let Some(id) = id(&context).or_else(|| Context::map_current(id))
            && !headers.contains_key(&self.correlation)
        {
            let _ = headers.try_insert(self.correlation.clone(), id);
        }
    }
}

/// How often a [`Retry`](crate::Retry) has sent the request before, if it has.
#[cfg(feature = "retry")]
fn resend_count(parts: &Parts) -> Option<i64> {
    let attempt = parts.extensions.get::<crate::layers::retry::Attempt>()?;
    Some(i64::from(attempt.resend_count())).filter(|count| *count > 0)
}

#[cfg(not(feature = "retry"))]
fn resend_count(_: &Parts) -> Option<i64> {
    None
}

impl<S, K, B, R> Service<Request<B>> for ClientSpans<S, K>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Cause<K>,
    R: Body,
{
    type Response = Response<SpanBody<R>>;
    type Error = S::Error;
    type Future = SpanFuture<S::Future, K>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { inner, settings, .. } = self;
        let (mut parts, body) = request.into_parts();
        let span = if level_enabled!(Level::INFO) { settings.span(&parts) } else { Span::none() };
        let mut observed = Observed::new(settings.side, span, None, More::default());
        let to_head = parts.method == Method::HEAD;
        let call = || {
            settings.write(&mut parts.headers);
            inner.call(Request::from_parts(parts, body))
        };
        let inner = match &mut observed {
            Some(observed) => observed.within(call),
            None => call(),
        };
        SpanFuture::new(inner, observed, None, to_head)
    }
}

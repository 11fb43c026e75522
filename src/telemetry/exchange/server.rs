//! The layer of servers, which reads headers and makes a span for each request.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{self, Poll};

use http::request::Parts;
use http::{HeaderName, Method, Request, Response};
use http_body::Body;
use opentelemetry::Context;
use tower::{Layer, Service};
use tracing::{Level, Span, level_enabled};

use super::access_log::AccessLog;
use super::body::SpanBody;
use super::forwarded::Forwarded;
use super::future::SpanFuture;
#[cfg(feature = "grpc")]
use super::grpc_span;
use super::http_span::{self, Known};
use super::names::{Name, Names};
use super::observed::{More, Observed};
use super::side::Side;
use super::untraced::Untraced;
use crate::base::clock;
use crate::base::conventions::{matched_route, method_index, method_name, original_uri};
use crate::base::error::{ByError, Cause};
use crate::base::outcome::content_length;
use crate::base::panics::catch;
use crate::telemetry::correlation::{CorrelationId, FIELD, id_of};
use crate::telemetry::pipeline::Telemetry;
use crate::telemetry::propagation::{Correlation, Exchanged, SharedPropagator};

impl Telemetry {
    /// A layer for an HTTP server: a span for each request, in the trace of its caller.
    ///
    /// It reads trace context and baggage from the headers, so that spans and calls of the inner service belong to the
    /// caller's trace, and gives each request a [correlation id](ServerSpanLayer::correlation) if asked to. It works with axum
    /// and any other service of [`http::Request`], also without an installed pipeline.
    ///
    /// # The span
    /// Its kind is `SERVER`, its name `{method} {route}`, and `{method}` without a route; the path is never part of a name.
    /// With the feature `axum` the layer finds the matched route, in `Router::layer`, `route_layer` and nested routers; for
    /// other routers, set it with [`ServerSpanLayer::route`]. It ends with the last byte of the response, or when the response
    /// is dropped. Statuses from 500 on are errors. A request or response that its caller left is one too, with the
    /// `error.type` `cancelled`, except a stream of events; other types are `timeout`, `panic`, and the type of an error.
    ///
    /// The attributes are those of the stable [conventions for HTTP](https://opentelemetry.io/docs/specs/semconv/http/):
    /// method, route, path, query, scheme, status, host and port of the server, address of the client, version of the protocol,
    /// user agent, and the sizes of bodies: of a request with `Content-Length`, of a response that was read to its end. Secrets
    /// in them are redacted.
    ///
    /// # Metrics
    /// The span counts in `campanile.span.duration` and in the vital signs of its [component](ServerSpanLayer::component), with
    /// one series for each route and method: 1,000 at most for the layer. `http.server.request.duration` comes from
    /// [`Timing`](crate::Timing) alone. The two layers may be in any order; inside of this one, the exemplars of `Timing` name
    /// the span.
    ///
    /// # Which requests
    /// Probes and `/metrics` make no span: see [`ServerSpanLayer::untraced`]. The spans have the level `INFO` and the target
    /// `campanile::http`. If a filter removes them, the caller's trace still goes on.
    ///
    /// Malformed headers are ignored and counted in `campanile.telemetry.propagation.malformed`: a malformed or second
    /// `traceparent`, a malformed `tracestate`, a malformed entry of baggage, and baggage beyond 64 entries or 8,192 bytes.
    ///
    /// # Example
    /// ```
    /// use axum::{Router, routing::get};
    /// use campanile::Telemetry;
    ///
    /// let telemetry = Telemetry::builder("shop").build()?;
    /// let app: Router = Router::new()
    ///     .route("/orders/{id}", get(|| async { "fine" })) // the span `GET /orders/{id}`
    ///     .layer(telemetry.http_server_layer().component("shop"));
    /// # let _ = app;
    /// # Ok::<(), campanile::telemetry::TelemetryError>(())
    /// ```
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn http_server_layer<K>(&self) -> ServerSpanLayer<K> {
        ServerSpanLayer::new(self, Side::HttpServer)
    }

    /// A layer for a gRPC server such as tonic's: a span for each call, in the trace of its caller.
    ///
    /// It is like [`http_server_layer`](Self::http_server_layer), with the
    /// [conventions for RPC](https://opentelemetry.io/docs/specs/semconv/rpc/): the name is `{package.Service}/{Method}`, and
    /// the attributes are method, code, host and port of the server and address of the client. The codes `UNKNOWN`,
    /// `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE` and `DATA_LOSS` are errors. A call that its caller left
    /// has the code `CANCELLED`, which is none.
    ///
    /// Any caller can make up a method. A method has a name once the code of a call shows that it exists: any code except
    /// `CANCELLED`, `PERMISSION_DENIED`, `RESOURCE_EXHAUSTED`, `UNIMPLEMENTED`, `UNAVAILABLE` and `UNAUTHENTICATED`. Until then
    /// the name is `grpc`, and `rpc.method` is `_OTHER`. Health checks and reflection make no span. The target of the spans is
    /// `campanile::grpc`.
    ///
    /// # Example
    /// ```
    /// use campanile::Telemetry;
    /// use tonic::transport::Server;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (_reporter, service) = tonic_health::server::health_reporter();
    /// let telemetry = Telemetry::builder("shop").build()?;
    /// let server = Server::builder().layer(telemetry.grpc_server_layer().component("shop")).add_service(service);
    /// # if false {
    /// server.serve("[::1]:50051".parse()?).await?;
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[cfg(feature = "grpc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc_server_layer<K>(&self) -> ServerSpanLayer<K> {
        ServerSpanLayer::new(self, Side::GrpcServer)
    }
}

type Route = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

#[derive(Clone)]
struct Settings {
    side: Side,
    names: Arc<Names>,
    exchanged: Exchanged,
    correlation: Option<Correlation>,
    route: Option<Route>,
    untraced: Untraced,
    trust_forwarded: bool,
    access_log: bool,
}

/// Makes a span for each request of a server: see [`Telemetry::http_server_layer`].
///
/// `K` is inferred: see [`Cause`](crate::error::Cause).
pub struct ServerSpanLayer<K = ByError> {
    settings: Settings,
    kind: PhantomData<fn() -> K>,
}

impl<K> ServerSpanLayer<K> {
    fn new(telemetry: &Telemetry, side: Side) -> Self {
        let inner = &telemetry.inner;
        let settings = Settings {
            side,
            names: Names::new(&inner.layer.core, side.component()),
            exchanged: Exchanged::new(&inner.propagator),
            correlation: None,
            route: None,
            untraced: Untraced::default(),
            trust_forwarded: false,
            access_log: false,
        };
        Self { settings, kind: PhantomData }
    }

    /// Sets the component that the spans count for. Default: `http_server` or `grpc_server`.
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

    /// Gives each request a correlation id. Default: none does.
    ///
    /// It comes from `x-request-id` or `x-correlation-id` ([`Correlation`] sets others), then from the caller's baggage,
    /// otherwise it is a new UUID. An id of more than 128 characters, with other characters than visible ASCII, or that occurs
    /// twice, is replaced and counted in `campanile.telemetry.propagation.malformed`. The id is
    /// - an extension of the request, [`CorrelationId`];
    /// - in the OpenTelemetry context of the inner service, and as `correlation.id` in its baggage; and in the field
    ///   `correlation_id` of the spans of the request, and of the span around the layer, if that declares it;
    /// - in the response, in the header in which it came, unless the service sets that header;
    /// - on every call that the service makes through a [layer of clients](Telemetry::http_client_layer).
    ///
    /// # Example
    /// ```
    /// use axum::{Extension, Router, routing::get};
    /// use campanile::Telemetry;
    /// use campanile::telemetry::{Correlation, CorrelationId};
    ///
    /// let telemetry = Telemetry::builder("shop").build()?;
    /// let app: Router = Router::new()
    ///     .route("/", get(|Extension(id): Extension<CorrelationId>| async move { id.to_string() }))
    ///     .layer(telemetry.http_server_layer().correlation(Correlation::default()));
    /// # let _ = app;
    /// # Ok::<(), campanile::telemetry::TelemetryError>(())
    /// ```
    #[must_use]
    pub fn correlation(mut self, correlation: Correlation) -> Self {
        self.settings.correlation = Some(correlation);
        self
    }

    /// Sets the function that returns the matched route of an HTTP request. Default: with the feature `axum`, the route that
    /// axum has matched; otherwise none. A request for which it panics has none.
    #[must_use]
    pub fn route(mut self, route: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.settings.route = Some(Arc::new(route));
        self
    }

    /// Sets the paths of requests that make no span and no access log; a `*` at the end stands for any rest. Trace context,
    /// baggage and correlation ids pass nevertheless.
    ///
    /// Default: `/livez`, `/readyz`, `/startupz`, `/healthz`, `/metrics`, `/grpc.health.v1*` and `/grpc.reflection*`.
    #[must_use]
    pub fn untraced<P: AsRef<str>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.settings.untraced = Untraced::new(paths);
        self
    }

    /// Sets whether `Forwarded` and `X-Forwarded-For`, `-Host` and `-Proto` are trusted. Default `false`, because any caller
    /// can send them. Set it behind a proxy that replaces them.
    ///
    /// The attributes `client.address`, `server.address`, `server.port` and `url.scheme` are then those that the proxy saw.
    #[must_use]
    pub fn trust_forwarded(mut self, trust: bool) -> Self {
        self.settings.trust_forwarded = trust;
        self
    }

    /// Sets whether each request writes one event at its end, in its span. Default `false`.
    ///
    /// It has the method, the route, the status, the sizes of the bodies, `error.type`, and as `duration` the seconds to the
    /// end of the response. Its level is `INFO`, and `WARN` if the request failed; its target is that of the span.
    #[must_use]
    pub fn access_log(mut self, on: bool) -> Self {
        self.settings.access_log = on;
        self
    }
}

impl<K> Clone for ServerSpanLayer<K> {
    fn clone(&self) -> Self {
        Self { settings: self.settings.clone(), kind: PhantomData }
    }
}

impl<K> fmt::Debug for ServerSpanLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { side, names, .. } = &self.settings;
        f.debug_struct("ServerSpanLayer").field("side", side).field("names", names).finish_non_exhaustive()
    }
}

impl<S, K> Layer<S> for ServerSpanLayer<K> {
    type Service = ServerSpans<S, K>;

    fn layer(&self, inner: S) -> Self::Service {
        ServerSpans { inner, settings: Arc::new(self.settings.clone()), kind: PhantomData }
    }
}

/// A service with a span for each request; made by [`ServerSpanLayer`].
pub struct ServerSpans<S, K = ByError> {
    inner: S,
    settings: Arc<Settings>,
    kind: PhantomData<fn() -> K>,
}

cloned! { ServerSpans<S; K> { inner, settings, kind } }

impl<S: fmt::Debug, K> fmt::Debug for ServerSpans<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSpans").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Settings {
    /// The context of the request, and its correlation id with the header for the response.
    #[inline]
    fn context(&self, parts: &mut Parts) -> (Option<Context>, Option<(CorrelationId, HeaderName)>) {
        // Into an empty context, since the active one is the server's own, not the caller's.
        let read = self.exchanged.read(&Context::new(), &parts.headers);
        let Some(correlation) = &self.correlation else { return (read, None) };
        let caller = || Context::map_current(id_of);
        let (id, header) = correlation.id(&parts.headers, || read.as_ref().map_or_else(caller, id_of));
        let context = match &read {
            Some(read) => id.within(read),
            None => id.within(&Context::current()),
        };
        Span::current().record(FIELD, id.as_str());
        parts.extensions.insert(id.clone());
        (Some(context), Some((id, header)))
    }

    /// The span of the request, and what few requests need.
    #[inline]
    fn span(&self, parts: &Parts, correlation: Option<&str>) -> (Span, More) {
        let forwarded = self.trust_forwarded.then(|| Forwarded::of(&parts.headers));
        #[cfg(feature = "grpc")]
        if self.side.is_grpc() {
            let method = grpc_span::method(parts);
            let path = parts.uri.path_and_query();
            let known = Some(method).filter(|method| self.names.knows(method));
            let make = |name: &Arc<Name>| {
                let span = grpc_span::of_server(&self.names, name, parts, known, forwarded, correlation);
                (span, More { log: self.log(name, "", parts), unproven: None })
            };
            let (span, mut more) = match known {
                Some(method) => self.names.grpc(method, make),
                None => self.names.unproven(make),
            };
            more.unproven =
                path.filter(|_| known.is_none()).map(|path| (Arc::clone(&self.names), path.clone()));
            return (span, more);
        }
        let owned;
        let route = match &self.route {
            Some(route) => {
                owned = catch(|| route(parts)).ok().flatten();
                owned.as_deref()
            }
            None => matched_route(&parts.extensions),
        };
        let method = method_index(&parts.method);
        self.names.http(method, route.unwrap_or_default(), |name| {
            let known = Known { method, route, forwarded, correlation, resend: None };
            let span = http_span::of_server(&self.names, name, parts, known);
            (span, More { log: self.log(name, method_name(method), parts), unproven: None })
        })
    }

    fn log(&self, name: &Arc<Name>, method: &'static str, parts: &Parts) -> Option<AccessLog> {
        self.access_log.then(|| AccessLog {
            began: clock::now(),
            method,
            name: Arc::clone(name),
            request_size: content_length(&parts.headers),
        })
    }
}

/// The whole path of the request, also inside of a nested router.
fn path(parts: &Parts) -> &str {
    original_uri(&parts.extensions).unwrap_or(&parts.uri).path()
}

impl<S, K, B, R> Service<Request<B>> for ServerSpans<S, K>
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

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let settings = &*self.settings;
        let (mut parts, body) = request.into_parts();
        let (context, correlation) = settings.context(&mut parts);
        let traced = level_enabled!(Level::INFO) && !settings.untraced.contains(path(&parts));
        let (span, more) = if traced {
            let _attached = context.clone().map(Context::attach);
            settings.span(&parts, correlation.as_ref().map(|(id, _)| id.as_str()))
        } else {
            (Span::none(), More::default())
        };
        let mut observed = Observed::new(settings.side, span, context, more);
        let to_head = parts.method == Method::HEAD;
        let request = Request::from_parts(parts, body);
        let inner = match &mut observed {
            Some(observed) => observed.within(|| self.inner.call(request)),
            None => self.inner.call(request),
        };
        SpanFuture::new(inner, observed, correlation, to_head)
    }
}

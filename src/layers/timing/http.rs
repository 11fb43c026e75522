//! The layers for HTTP and gRPC, on servers and on clients.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts as RequestParts;
use http::response::Parts;
use http::{Method, Request, Response};
use http_body::Body;
use tower::{Layer, Service};

use super::call::{Call, Side};
use super::exchange::Exchange;
use super::handle::Timing;
use super::meter::Meter;
use super::server_timing::ServerTiming;
use crate::base::conventions::matched_route;
use crate::base::error::{ByError, Cause, ConfigError};
#[cfg(feature = "grpc")]
use crate::base::outcome::ByGrpcStatus;
use crate::base::outcome::{ByCause, ByHttpStatus, Classify, ObservedBody, Streamed};

/// The body of a response that is timed to its end.
type ResponseBody<B, C, K> = ObservedBody<B, ByCause<C, K>, Exchange>;

type Route = Arc<dyn Fn(&RequestParts) -> Option<String> + Send + Sync>;

impl Timing {
    /// A layer for an HTTP server: `http.server.request.duration` and `http.server.active_requests`.
    ///
    /// The path of a request is not an attribute, since any caller can make one up. The matched route is. With the feature
    /// `axum` the layer finds it; for other routers, set it with [`HttpTimingLayer::route`]:
    /// ```
    /// use axum::{Router, routing::get};
    ///
    /// let timing = campanile::Timing::new("orders");
    /// let app: Router =
    ///     Router::new().route("/orders/{id}", get(|| async { "fine" })).layer(timing.http_server_layer());
    /// ```
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn http_server_layer<K>(&self) -> HttpTimingLayer<ByHttpStatus, K> {
        self.http(Side::HttpServer, ByHttpStatus)
    }

    /// A layer for an HTTP client: `http.client.request.duration` and `http.client.active_requests`.
    ///
    /// Servers are distinguished by host and port of the request, up to 1,000 combinations of attributes; the rest is
    /// `_OTHER`. If callers choose the hosts, they can fill that table.
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn http_client_layer<K>(&self) -> HttpTimingLayer<ByHttpStatus, K> {
        self.http(Side::HttpClient, ByHttpStatus)
    }

    /// A layer for a gRPC server such as tonic's: `rpc.server.call.duration`.
    ///
    /// A method is `_OTHER` until a call of it has succeeded (`OK`), since any caller can make up a method that a layer then
    /// refuses. [`HttpTimingLayer::methods`] declares methods from the start. Up to 1,000 have names.
    #[must_use]
    #[cfg(feature = "grpc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc_server_layer<K>(&self) -> HttpTimingLayer<ByGrpcStatus, K> {
        self.http(Side::RpcServer, ByGrpcStatus)
    }

    /// A layer for a gRPC client such as tonic's: `rpc.client.call.duration`.
    ///
    /// Methods and servers are those of the requests, up to 1,000 combinations of attributes. Callers of a proxy can fill
    /// that table.
    #[must_use]
    #[cfg(feature = "grpc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc_client_layer<K>(&self) -> HttpTimingLayer<ByGrpcStatus, K> {
        self.http(Side::RpcClient, ByGrpcStatus)
    }

    fn http<C, K>(&self, side: Side, classifier: C) -> HttpTimingLayer<C, K> {
        let (meter, classifier) = (Arc::clone(&self.meter), ByCause::new(classifier));
        HttpTimingLayer { meter, side, classifier, route: None, server_timing: None }
    }
}

/// Times the exchanges of an HTTP or gRPC service: see [`Timing::http_server_layer`].
///
/// `K` is inferred: see [`Cause`](crate::base::error::Cause).
pub struct HttpTimingLayer<C = ByHttpStatus, K = ByError> {
    meter: Arc<Meter>,
    side: Side,
    classifier: ByCause<C, K>,
    route: Option<Route>,
    server_timing: Option<ServerTiming>,
}

cloned! { HttpTimingLayer<C; K> { meter, side, classifier, route, server_timing } }

impl<C, K> HttpTimingLayer<C, K> {
    /// Sets the classifier that decides what failed: a [`Classify`]`<http::response::Parts>`.
    pub fn classify<D>(self, classifier: D) -> HttpTimingLayer<D, K> {
        let Self { meter, side, classifier: before, route, server_timing } = self;
        HttpTimingLayer { meter, side, classifier: before.with(classifier), route, server_timing }
    }

    /// Sets the function that returns the matched route of a request, the attribute `http.route` of a server. Default: with
    /// the feature `axum`, the route that axum has matched. Beyond 1,000
    /// combinations of attributes the rest is counted as `_OTHER`, and so is a route of more than 1,024 bytes.
    #[must_use]
    pub fn route(mut self, route: impl Fn(&RequestParts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.route = Some(Arc::new(route));
        self
    }

    /// Declares methods of a gRPC server, as `package.Service/Method`. Their calls have the method's name from the first
    /// call on, even if none has succeeded. It does nothing on other layers.
    ///
    /// # Example
    /// ```
    /// use campanile::Timing;
    /// use campanile::outcome::ByGrpcStatus;
    /// use campanile::timing::HttpTimingLayer;
    ///
    /// let timing = Timing::new("orders");
    /// let layer: HttpTimingLayer<ByGrpcStatus> =
    ///     timing.grpc_server_layer().methods(["shop.Orders/Put", "shop.Orders/Get"]);
    /// # let _ = layer;
    /// ```
    #[must_use]
    #[cfg(feature = "grpc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn methods<M: AsRef<str>>(self, methods: impl IntoIterator<Item = M>) -> Self {
        let names = methods.into_iter().map(|method| method.as_ref().trim_start_matches('/').into());
        self.meter.histograms.recorders.declare(names);
        self
    }

    /// Adds a `Server-Timing` header to each response of an HTTP server: `name;dur=12.345`, in milliseconds. Browsers show it
    /// among the timings of a request. `Server-Timing` headers of the service itself stay.
    ///
    /// It is the time to the head of the response; the histogram has the time to its end. Every caller can read the header:
    /// do not set it where the time reveals a secret. It does nothing on clients and for gRPC.
    ///
    /// # Errors
    /// Returns an error if `name` is not a token: letters, digits and any of ``!#$%&'*+-.^_`|~``, at least one.
    ///
    /// # Example
    /// ```
    /// # fn main() -> Result<(), campanile::ConfigError> {
    /// let timing = campanile::Timing::new("orders");
    /// let app: axum::Router = axum::Router::new().layer(timing.http_server_layer().server_timing("app")?);
    /// # let _ = app;
    /// # Ok(())
    /// # }
    /// ```
    pub fn server_timing(mut self, name: &str) -> Result<Self, ConfigError> {
        self.server_timing = Some(ServerTiming::new(name)?);
        Ok(self)
    }
}

impl<S, C: Clone, K> Layer<S> for HttpTimingLayer<C, K> {
    type Service = HttpTimed<S, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpTimed { inner, layer: self.clone() }
    }
}

impl<C, K> fmt::Debug for HttpTimingLayer<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTimingLayer").field("side", &self.side).finish_non_exhaustive()
    }
}

/// An HTTP or gRPC service whose exchanges are timed; made by [`HttpTimingLayer`].
#[derive(Debug)]
pub struct HttpTimed<S, C = ByHttpStatus, K = ByError> {
    inner: S,
    layer: HttpTimingLayer<C, K>,
}

cloned! { HttpTimed<S, C; K> { inner, layer } }

impl<S, C, K, ReqBody, ResBody> Service<Request<ReqBody>> for HttpTimed<S, C, K>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Error: Cause<K>,
    ResBody: Body,
    C: Classify<Parts> + Clone,
{
    type Response = Response<ResponseBody<ResBody, C, K>>;
    type Error = S::Error;
    type Future = Streamed<S::Future, ByCause<C, K>, Exchange>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let route = match &self.layer.route {
            Some(route) => route(&parts),
            None if self.layer.side == Side::HttpServer => {
                matched_route(&parts.extensions).map(ToOwned::to_owned)
            }
            None => None,
        };
        let call = Call::new(self.layer.side, &parts, route);
        let server_timing = self.layer.server_timing.clone().filter(|_| self.layer.side == Side::HttpServer);
        let exchange = Exchange::start(&self.layer.meter, call, server_timing);
        let to_head = parts.method == Method::HEAD;
        let request = Request::from_parts(parts, body);
        Streamed::new(self.inner.call(request), to_head, self.layer.classifier.clone(), exchange)
    }
}

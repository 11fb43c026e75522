//! The layer of a server.

use std::fmt;

use tower::Layer;

use super::handle::Server;
use crate::base::error::ByError;
#[cfg(feature = "grpc")]
use crate::base::outcome::ByGrpcStatus;
use crate::base::outcome::ByHttpStatus;
use crate::layers::timing::{HttpTimed, HttpTimingLayer};
use crate::telemetry::{ServerSpanLayer, ServerSpans};

impl Server {
    /// Returns the layer for an HTTP server: spans outside, durations inside. With axum, add it by `Router::layer`.
    #[must_use]
    pub fn http_layer<K>(&self) -> ServerLayer<ByHttpStatus, K> {
        let spans = self.spans(self.inner.telemetry.http_server_layer());
        ServerLayer { spans, timing: self.inner.timing.http_server_layer() }
    }

    /// Returns the layer for a gRPC server, such as tonic's `Server::layer`.
    #[must_use]
    #[cfg(feature = "grpc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc_layer<K>(&self) -> ServerLayer<ByGrpcStatus, K> {
        let spans = self.spans(self.inner.telemetry.grpc_server_layer());
        ServerLayer { spans, timing: self.inner.timing.grpc_server_layer() }
    }

    fn spans<K>(&self, layer: ServerSpanLayer<K>) -> ServerSpanLayer<K> {
        let settings = &self.inner.settings;
        let component = settings.component.as_deref().unwrap_or(&self.inner.name);
        let layer = layer
            .component(component)
            .access_log(settings.access_log)
            .trust_forwarded(settings.trust_forwarded)
            .untraced(&settings.untraced);
        match &self.inner.correlation {
            Some(correlation) => layer.correlation(correlation.clone()),
            None => layer,
        }
    }
}

/// The layer of a [`Server`]: see [`Server::http_layer`].
///
/// `K` is inferred: see [`Cause`](crate::error::Cause).
pub struct ServerLayer<C = ByHttpStatus, K = ByError> {
    spans: ServerSpanLayer<K>,
    timing: HttpTimingLayer<C, K>,
}

cloned! { ServerLayer<C; K> { spans, timing } }

impl<S, C: Clone, K> Layer<S> for ServerLayer<C, K> {
    type Service = ServerSpans<HttpTimed<S, C, K>, K>;

    fn layer(&self, inner: S) -> Self::Service {
        self.spans.layer(self.timing.layer(inner))
    }
}

impl<C, K> fmt::Debug for ServerLayer<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerLayer").field("spans", &self.spans).finish_non_exhaustive()
    }
}

//! The layer for gRPC.

use std::fmt;
use std::sync::Arc;

use tower::Layer;

use super::grpc::Codes;
use super::protocol::Protocol;
use super::service::HttpRetrying;
use crate::base::error::ByError;
use crate::base::outcome::{ByCause, ByGrpcStatus};
use crate::layers::retry::handle::Retry;
use crate::layers::retry::policy::Policy;

impl Retry {
    /// A layer for gRPC services over HTTP, such as tonic's, on clients and on servers.
    ///
    /// Like [`http_layer`](Retry::http_layer), except:
    /// - **What failed** is decided by [`ByGrpcStatus`], and by the head of the response alone: a stream that
    ///   has begun is never retried.
    /// - **What is sent again**: calls that end with one of [`RetrySettings::grpc_codes`], which are
    ///   `RESOURCE_EXHAUSTED` and `UNAVAILABLE` by default, and calls that found no connection. Any other call may
    ///   have been processed in part. It is repeated only if it has an `Idempotency-Key` or with
    ///   [`RetryBuilder::retry_non_idempotent`].
    /// - **When**: a server that answers with `grpc-retry-pushback-ms` gets exactly that time, up to
    ///   [`RetryBuilder::retry_after_cap`], and the backoff starts again after it. A negative or malformed number
    ///   forbids another attempt.
    /// - Each attempt after the first carries `grpc-previous-rpc-attempts`.
    /// - After a time-out without a response, the caller gets `DEADLINE_EXCEEDED`.
    ///
    /// The policy are those of gRFC A6, except for a connection that breaks: in A6 that is `UNAVAILABLE` too.
    ///
    /// [`RetrySettings::grpc_codes`]: crate::layers::retry::RetrySettings::grpc_codes
    /// [`RetryBuilder::retry_non_idempotent`]: crate::layers::retry::RetryBuilder::retry_non_idempotent
    /// [`RetryBuilder::retry_after_cap`]: crate::layers::retry::RetryBuilder::retry_after_cap
    ///
    /// # Example
    /// ```
    /// use campanile::retry::ReplayBody;
    /// use tonic::transport::Channel;
    /// use tonic_health::pb::health_client::HealthClient;
    /// use tower::ServiceBuilder;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower::BoxError> {
    /// let retry = campanile::Retry::builder().max_attempts(3).build()?;
    /// let channel = ServiceBuilder::new()
    ///     .layer(retry.grpc_layer())
    ///     .map_request(|request: http::Request<ReplayBody>| request.map(tonic::body::Body::new))
    ///     .service(Channel::from_static("http://[::1]:50051").connect_lazy());
    /// let client = HealthClient::new(channel);
    /// # let _ = client;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc_layer<K>(&self) -> GrpcRetryLayer<ByGrpcStatus, K> {
        GrpcRetryLayer { policy: Arc::clone(&self.policy), classifier: ByCause::new(ByGrpcStatus) }
    }
}

/// Retries the calls of a gRPC service: see [`Retry::grpc_layer`].
///
/// `K` is inferred: see [`Cause`](crate::base::error::Cause).
pub struct GrpcRetryLayer<C = ByGrpcStatus, K = ByError> {
    policy: Arc<Policy>,
    classifier: ByCause<C, K>,
}

cloned! { GrpcRetryLayer<C; K> { policy, classifier } }

impl<C, K> GrpcRetryLayer<C, K> {
    /// Replaces [`ByGrpcStatus`], which decides what failed, by `classifier`: a closure, or any
    /// [`Classify`](crate::Classify)`<http::response::Parts>`.
    ///
    /// A call with one of these codes is retried, whatever the classifier says:
    /// [`RetrySettings::grpc_codes`](crate::layers::retry::RetrySettings::grpc_codes).
    pub fn classify<D>(self, classifier: D) -> GrpcRetryLayer<D, K> {
        GrpcRetryLayer { policy: self.policy, classifier: self.classifier.with(classifier) }
    }
}

impl<S: Clone, C: Clone, K> Layer<S> for GrpcRetryLayer<C, K> {
    type Service = HttpRetrying<S, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        let protocol = Protocol::Grpc(Codes::new(&self.policy.settings.grpc_codes));
        HttpRetrying::new(inner, Arc::clone(&self.policy), self.classifier.clone(), protocol)
    }
}

impl<C, K> fmt::Debug for GrpcRetryLayer<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcRetryLayer").field("retry", &self.policy.name).finish_non_exhaustive()
    }
}

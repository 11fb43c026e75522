//! The layers for HTTP and gRPC.

use std::fmt;
use std::sync::Arc;

use tower::Layer;

#[cfg(feature = "grpc")]
use super::grpc::Codes;
use super::protocol::Protocol;
use super::service::HttpRetrying;
use crate::base::bounds::CloneService;
use crate::base::error::ByError;
#[cfg(feature = "grpc")]
use crate::base::outcome::ByGrpcStatus;
use crate::base::outcome::{ByCause, ByHttpStatus};
use crate::layers::retry::handle::Retry;
use crate::layers::retry::policy::Policy;

impl Retry {
    /// A layer for services of `http::Request` and `http::Response`, on clients and on servers.
    ///
    /// The inner service gets `Request<`[`ReplayBody`](crate::layers::retry::ReplayBody)`>` with the
    /// [`Attempt`](crate::layers::retry::Attempt) among its extensions. [`ByHttpStatus`] decides what failed. The
    /// [module](crate::layers::retry) says which requests are sent again, and what is recorded on spans. After a timeout without
    /// a response, the caller gets a 504 with an empty body and the [`TimedOut`](crate::TimedOut) among its extensions.
    ///
    /// # Example
    /// ```
    /// use bytes::Bytes;
    /// use campanile::retry::{Attempt, ReplayBody};
    /// use http::{Request, Response, StatusCode};
    /// use http_body_util::Full;
    /// use tower::{ServiceBuilder, ServiceExt};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower::BoxError> {
    /// let retry = campanile::Retry::builder().build()?;
    /// // A hyper client is such a service.
    /// let client = ServiceBuilder::new().layer(retry.http_layer()).service_fn(
    ///     |request: Request<ReplayBody>| async move {
    ///         let first = request.extensions().get::<Attempt>().is_some_and(|attempt| attempt.number == 1);
    ///         let status = if first { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    ///         Response::builder().status(status).body(request.into_body())
    ///     },
    /// );
    /// let response = client.oneshot(Request::put("/orders/7").body(Full::new(Bytes::from("two cups")))?).await?;
    /// assert_eq!(response.status(), StatusCode::OK);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn http_layer<K>(&self) -> HttpRetryLayer<ByHttpStatus, K> {
        let classifier = ByCause::new(ByHttpStatus);
        HttpRetryLayer { policy: Arc::clone(&self.policy), classifier, protocol: Protocol::Http }
    }

    /// A layer for gRPC services over HTTP, such as tonic's, on clients and on servers.
    ///
    /// Like [`http_layer`](Retry::http_layer), except:
    /// - **What failed** is decided by [`ByGrpcStatus`], and by the head of the response alone: a stream that
    ///   has begun is never retried.
    /// - **What is sent again**: calls that end with one of [`RetrySettings::grpc_codes`], which are
    ///   `RESOURCE_EXHAUSTED` and `UNAVAILABLE` by default, and calls that found no connection. Any other call may
    ///   have been processed in part. It is sent again only if it has an `Idempotency-Key`, or with
    ///   [`RetryBuilder::retry_non_idempotent`].
    /// - **When**: a server that answers with `grpc-retry-pushback-ms` gets exactly that time, up to
    ///   [`RetryBuilder::retry_after_cap`], and the backoff starts again after it. A negative or malformed number
    ///   forbids another attempt.
    /// - Each attempt after the first carries `grpc-previous-rpc-attempts`.
    /// - After a timeout without a response, the caller gets `DEADLINE_EXCEEDED`.
    ///
    /// These rules are those of gRFC A6, except for a connection that breaks: A6 retries that as `UNAVAILABLE` too.
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
    #[cfg(feature = "grpc")]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc_layer<K>(&self) -> HttpRetryLayer<ByGrpcStatus, K> {
        let protocol = Protocol::Grpc(Codes::new(&self.policy.settings.load().grpc_codes));
        HttpRetryLayer { policy: Arc::clone(&self.policy), classifier: ByCause::new(ByGrpcStatus), protocol }
    }
}

/// Retries the calls of an HTTP or gRPC service: see [`Retry::http_layer`] and `Retry::grpc_layer`.
///
/// `K` is inferred: see [`Cause`](crate::base::error::Cause).
pub struct HttpRetryLayer<C = ByHttpStatus, K = ByError> {
    policy: Arc<Policy>,
    classifier: ByCause<C, K>,
    protocol: Protocol,
}

cloned! { HttpRetryLayer<C; K> { policy, classifier, protocol } }

impl<C, K> HttpRetryLayer<C, K> {
    /// Sets the classifier that decides what failed and is retried: a closure, or any
    /// [`Classify`](crate::Classify)`<http::response::Parts>`.
    ///
    /// A refusal by a [`CircuitBreaker`](crate::CircuitBreaker) is never retried, whatever the classifier returns. Over
    /// gRPC, a call with one of [`RetrySettings::grpc_codes`](crate::layers::retry::RetrySettings::grpc_codes) always
    /// is.
    pub fn classify<D>(self, classifier: D) -> HttpRetryLayer<D, K> {
        HttpRetryLayer {
            policy: self.policy,
            classifier: self.classifier.with(classifier),
            protocol: self.protocol,
        }
    }
}

impl<S: CloneService, C: Clone, K> Layer<S> for HttpRetryLayer<C, K> {
    type Service = HttpRetrying<S, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpRetrying::new(inner, Arc::clone(&self.policy), self.classifier.clone(), self.protocol)
    }
}

impl<C, K> fmt::Debug for HttpRetryLayer<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRetryLayer").field("retry", &self.policy.name).finish_non_exhaustive()
    }
}

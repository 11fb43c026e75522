//! The layer for HTTP.

use std::fmt;
use std::sync::Arc;

use tower::Layer;

use super::protocol::Protocol;
use super::service::HttpRetrying;
use crate::base::error::ByError;
use crate::base::outcome::{ByCause, ByHttpStatus};
use crate::layers::retry::handle::Retry;
use crate::layers::retry::policy::Policy;

impl Retry {
    /// A layer for services of `http::Request` and `http::Response`, on clients and on servers.
    ///
    /// The inner service gets `Request<`[`ReplayBody`](crate::layers::retry::ReplayBody)`>` with the
    /// [`Attempt`](crate::layers::retry::Attempt) among its extensions. [`ByHttpStatus`] decides what failed. The
    /// [module](crate::layers::retry) says which requests are sent again, and what is recorded on spans. After a time-out without
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
        HttpRetryLayer { policy: Arc::clone(&self.policy), classifier: ByCause::new(ByHttpStatus) }
    }
}

/// Retries the calls of an HTTP service: see [`Retry::http_layer`].
///
/// `K` is inferred: see [`Cause`](crate::base::error::Cause).
pub struct HttpRetryLayer<C = ByHttpStatus, K = ByError> {
    policy: Arc<Policy>,
    classifier: ByCause<C, K>,
}

cloned! { HttpRetryLayer<C; K> { policy, classifier } }

impl<C, K> HttpRetryLayer<C, K> {
    /// Replaces [`ByHttpStatus`], which decides what failed and is retried, by `classifier`: a closure, or any
    /// [`Classify`](crate::Classify)`<http::response::Parts>`.
    ///
    /// A refusal by a [`CircuitBreaker`](crate::CircuitBreaker) is never retried, whatever the classifier says.
    pub fn classify<D>(self, classifier: D) -> HttpRetryLayer<D, K> {
        HttpRetryLayer { policy: self.policy, classifier: self.classifier.with(classifier) }
    }
}

impl<S: Clone, C: Clone, K> Layer<S> for HttpRetryLayer<C, K> {
    type Service = HttpRetrying<S, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpRetrying::new(inner, Arc::clone(&self.policy), self.classifier.clone(), Protocol::Http)
    }
}

impl<C, K> fmt::Debug for HttpRetryLayer<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRetryLayer").field("retry", &self.policy.name).finish_non_exhaustive()
    }
}

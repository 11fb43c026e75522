//! The layer for HTTP.

use std::fmt;
use std::sync::Arc;

use tower::Layer;

use super::repeat::Protocol;
use super::service::HttpRetrying;
use crate::error::ByError;
use crate::outcome::{ByCause, ByHttpStatus};
use crate::retry::Retry;
use crate::retry::course::Rules;

impl Retry {
    /// A layer for services of `http::Request` and `http::Response`, on clients and on servers.
    ///
    /// The inner service gets `Request<`[`ReplayBody`](crate::retry::ReplayBody)`>` with the
    /// [`Attempt`](crate::retry::Attempt) among its extensions. What failed is decided by [`ByHttpStatus`]; what
    /// may be sent again is in the [module](crate::retry), and so is what stands on spans. When the time is up
    /// without a response, the caller gets a 504 with an empty body and the [`TimedOut`](crate::TimedOut) among its
    /// extensions.
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
    /// // A hyper client, for one, is such a service.
    /// let client = ServiceBuilder::new().layer(retry.http_layer()).service_fn(
    ///     |request: Request<ReplayBody>| async move {
    ///         let first = request.extensions().get::<Attempt>().is_some_and(|attempt| attempt.number() == 1);
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
        HttpRetryLayer { rules: Arc::clone(&self.rules), classifier: ByCause::new(ByHttpStatus) }
    }
}

/// Retries the calls of an HTTP service: see [`Retry::http_layer`].
///
/// `K` is inferred: see [`Cause`](crate::error::Cause).
pub struct HttpRetryLayer<C = ByHttpStatus, K = ByError> {
    rules: Arc<Rules>,
    classifier: ByCause<C, K>,
}

cloned! { HttpRetryLayer<C; K> { rules, classifier } }

impl<C, K> HttpRetryLayer<C, K> {
    /// Lets `classifier` decide what failed and is worth another try, in place of [`ByHttpStatus`]: a
    /// [`Classify`](crate::Classify)`<http::response::Parts>`, which a closure is too.
    ///
    /// A refusal by a [`CircuitBreaker`](crate::CircuitBreaker) is never retried, whatever it says.
    pub fn classify<D>(self, classifier: D) -> HttpRetryLayer<D, K> {
        HttpRetryLayer { rules: self.rules, classifier: self.classifier.with(classifier) }
    }
}

impl<S: Clone, C: Clone, K> Layer<S> for HttpRetryLayer<C, K> {
    type Service = HttpRetrying<S, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpRetrying::new(inner, Arc::clone(&self.rules), self.classifier.clone(), Protocol::Plain)
    }
}

impl<C, K> fmt::Debug for HttpRetryLayer<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRetryLayer").field("retry", &self.rules.name).finish_non_exhaustive()
    }
}

//! The layer for HTTP, on servers and on clients.

#[cfg(feature = "grpc")]
mod grpc;
mod kept;

#[cfg(feature = "grpc")]
pub use grpc::{GrpcDeadLetter, GrpcDeadLetterBody, GrpcDeadLetterLayer};
use kept::Kept;
pub(super) use kept::of_head;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, Request, Response, response};
use http_body::Body;
use tower::{BoxError, Layer, Service};

use super::DeadLetterQueue;
use super::core::Core;
use super::future::DeadLetterFuture;
use crate::base::error::{ByError, Cause};
use crate::base::outcome::{ByCause, ByHttpStatus, Classify};
use crate::layers::replay::ReplayBody;

/// The header by which a server knows that it has seen a request before.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header by which a server knows that a request is a letter on its way: the id of that.
pub(super) const LETTER: HeaderName = HeaderName::from_static("campanile-letter");

impl DeadLetterQueue {
    /// A layer for services of `http::Request` and `http::Response`, on servers and on clients.
    ///
    /// The inner service gets its body as a [`ReplayBody`], which keeps what passes through it up to
    /// [`DeadLetterQueueBuilder::body_cap`](super::DeadLetterQueueBuilder::body_cap); what the inner service has not read when it fails is
    /// read before the request is parked. Responses and errors pass unchanged. What failed is decided by
    /// [`ByHttpStatus`], by the head of the response: a body that breaks off later has reached the caller, who
    /// knows what to make of it. So a stream of events is not touched, nor is an upgrade such as a WebSocket's.
    ///
    /// On a server it parks the requests that came in and that the service fails, panics on, or gives no answer to in
    /// time, where a timeout lies inside of it that answers with 504. With
    /// [`DeadLetterQueueBuilder::park_cancelled`](super::DeadLetterQueueBuilder::park_cancelled) those too whose caller has left.
    ///
    /// # Example
    /// ```
    /// use campanile::DeadLetterQueue;
    /// use campanile::dead_letter::LetterFilter;
    /// use campanile::retry::ReplayBody;
    /// use bytes::Bytes;
    /// use http::{Request, Response, StatusCode};
    /// use http_body_util::Full;
    /// use tower::{ServiceBuilder, ServiceExt};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower::BoxError> {
    /// let queue = DeadLetterQueue::in_memory(1_000);
    /// let payments = ServiceBuilder::new().layer(queue.http_layer()).service_fn(
    ///     |_: Request<ReplayBody>| async {
    ///         let mut response = Response::new(());
    ///         *response.status_mut() = StatusCode::BAD_GATEWAY;
    ///         Ok::<_, std::convert::Infallible>(response)
    ///     },
    /// );
    /// let order = Request::post("http://payments/orders").body(Full::new(Bytes::from("order 7")))?;
    /// assert_eq!(payments.oneshot(order).await?.status(), 502);
    /// assert_eq!(queue.list(LetterFilter::all()).await?[0].error_type, "502");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn http_layer<K>(&self) -> HttpDeadLetterLayer<ByHttpStatus, K> {
        HttpDeadLetterLayer { core: Arc::clone(self.core()), classifier: ByCause::new(ByHttpStatus) }
    }
}

/// Parks the HTTP requests that a service fails: see [`DeadLetterQueue::http_layer`].
///
/// `K` is inferred: see [`Cause`](crate::base::error::Cause).
pub struct HttpDeadLetterLayer<C = ByHttpStatus, K = ByError> {
    core: Arc<Core>,
    classifier: ByCause<C, K>,
}

cloned! { HttpDeadLetterLayer<C; K> { core, classifier } }

impl<C, K> HttpDeadLetterLayer<C, K> {
    /// Lets `classifier` decide what failed: a [`Classify`]`<http::response::Parts>`.
    pub fn classify<D>(self, classifier: D) -> HttpDeadLetterLayer<D, K> {
        HttpDeadLetterLayer { core: self.core, classifier: self.classifier.with(classifier) }
    }
}

impl<S, C: Clone, K> Layer<S> for HttpDeadLetterLayer<C, K> {
    type Service = HttpDeadLetter<S, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        HttpDeadLetter { inner, core: Arc::clone(&self.core), classifier: self.classifier.clone() }
    }
}

impl<C, K> fmt::Debug for HttpDeadLetterLayer<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpDeadLetterLayer").field("queue", &self.core.name).finish_non_exhaustive()
    }
}

/// An HTTP service whose failed requests are parked.
pub struct HttpDeadLetter<S, C = ByHttpStatus, K = ByError> {
    inner: S,
    core: Arc<Core>,
    classifier: ByCause<C, K>,
}

cloned! { HttpDeadLetter<S, C; K> { inner, core, classifier } }

impl<S, C, K, B, ResB> Service<Request<B>> for HttpDeadLetter<S, C, K>
where
    S: Service<Request<ReplayBody>, Response = Response<ResB>>,
    S::Error: Cause<K>,
    C: Classify<response::Parts> + Clone,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResB>;
    type Error = S::Error;
    type Future = DeadLetterFuture<S::Future, Kept<ByCause<C, K>>, Result<Response<ResB>, S::Error>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (request, kept) = Kept::keep(&self.core, request, &self.classifier);
        let (inner, began) = (&mut self.inner, kept.as_ref().map(Kept::began).unwrap_or_default());
        DeadLetterFuture::begin(kept, began, || inner.call(request))
    }
}

impl<S: fmt::Debug, C, K> fmt::Debug for HttpDeadLetter<S, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpDeadLetter")
            .field("queue", &self.core.name)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

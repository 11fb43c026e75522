//! The layer for HTTP services, and the service that it makes.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, response};
use tower::{Layer, Service};

use super::job::HttpJob;
use crate::base::bounds::{HttpService, RequestBody};
use crate::base::error::{ByError, Cause};
use crate::base::outcome::{ByCause, ByHttpStatus, Classify};
use crate::dead_letter::core::Core;
use crate::dead_letter::park::DeadLetterFuture;
use crate::dead_letter::queue::DeadLetterQueue;
use crate::layers::replay::ReplayBody;

impl DeadLetterQueue {
    /// Returns a layer for services of `http::Request` and `http::Response`, on servers and on clients.
    ///
    /// The inner service gets the body as a [`ReplayBody`], which keeps a copy of up to
    /// [`body_cap`](super::super::DeadLetterQueueBuilder::body_cap) bytes. If the inner service fails before it has read
    /// the whole body, the layer reads the rest before it parks the request. Responses and errors pass unchanged.
    ///
    /// [`ByHttpStatus`] decides what failed, by the head of the response. A response body that fails later is the caller's
    /// concern. So streams of events and upgrades, such as WebSockets, pass unchanged.
    ///
    /// On a server, the layer parks a request when the service answers with a failure or panics. If a layer inside answers
    /// with 504 after a timeout, that is a failure too. Cancelled requests are not parked unless
    /// [`park_cancelled(true)`](super::super::DeadLetterQueueBuilder::park_cancelled).
    ///
    /// # Example
    /// ```
    /// use bytes::Bytes;
    /// use campanile::DeadLetterQueue;
    /// use campanile::dead_letter::LetterFilter;
    /// use campanile::retry::ReplayBody;
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

/// Parks the HTTP requests that fail in a service: see [`DeadLetterQueue::http_layer`].
///
/// The compiler infers `K`: see [`Cause`](crate::base::error::Cause).
pub struct HttpDeadLetterLayer<C = ByHttpStatus, K = ByError> {
    core: Arc<Core>,
    classifier: ByCause<C, K>,
}

cloned! { HttpDeadLetterLayer<C; K> { core, classifier } }

impl<C, K> HttpDeadLetterLayer<C, K> {
    /// Sets what decides whether a call failed, instead of [`ByHttpStatus`]: a [`Classify`]`<http::response::Parts>`.
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

/// An HTTP service whose failed requests are parked: see [`DeadLetterQueue::http_layer`].
pub struct HttpDeadLetter<
    S,                // a `Service<http::Request<ReplayBody>, Response = http::Response<_>>`
    C = ByHttpStatus, // a `Classify<http::response::Parts>`
    K = ByError,      // the error of `S` is a `Cause<K>`
> {
    inner: S,
    core: Arc<Core>,
    classifier: ByCause<C, K>,
}

cloned! { HttpDeadLetter<S, C; K> { inner, core, classifier } }

#[cfg(feature = "grpc")]
named! { HttpDeadLetter<S, C, K> }

impl<S, C, K, B, ResB> Service<Request<B>> for HttpDeadLetter<S, C, K>
where
    S: HttpService<ReplayBody, ResBody = ResB>,
    S::Err: Cause<K>,
    C: Classify<response::Parts> + Clone,
    B: RequestBody,
{
    type Response = Response<ResB>;
    type Error = S::Error;
    type Future = DeadLetterFuture<S::Future, HttpJob<ByCause<C, K>>, Result<Response<ResB>, S::Error>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (request, job) = HttpJob::new(&self.core, request, &self.classifier);
        let (inner, began) = (&mut self.inner, job.as_ref().map(HttpJob::began).unwrap_or_default());
        DeadLetterFuture::begin(job, began, || inner.call(request))
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

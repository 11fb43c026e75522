//! Time limits of response bodies.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

#[cfg(feature = "grpc")]
use http::header;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower::{BoxError, Layer, Service};

use crate::base::clock::{self, Tick};
use crate::base::error::TimedOut;
use crate::base::outcome::timing_out;

/// Bounds the time of response bodies. `attempt_timeout` and `deadline` of a [`Retry`](crate::Retry) bound the head of a
/// response only.
///
/// At the limit, the body is dropped and its reader gets an error that holds a [`TimedOut`]. The reader of a gRPC
/// response (`application/grpc`) gets the status `DEADLINE_EXCEEDED` in the trailers. Breakers and timings inside and
/// outside of this layer count the call as [`Timeout`](crate::FailureKind::Timeout). Without limits, the layer does
/// nothing.
///
/// It needs a tokio runtime.
///
/// # Example
/// ```
/// use bytes::Bytes;
/// use campanile::retry::BodyTimeoutLayer;
/// use campanile::TimedOut;
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Empty, StreamBody};
/// use std::convert::Infallible;
/// use std::time::Duration;
/// use tower::{ServiceBuilder, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower::BoxError> {
/// let client = ServiceBuilder::new()
///     .layer(BodyTimeoutLayer::new().idle(Duration::from_secs(10)).total(Duration::from_secs(60)))
///     .service_fn(|_: Request<Empty<Bytes>>| async {
///         let silent = tokio_stream::pending::<Result<http_body::Frame<Bytes>, Infallible>>();
///         Ok::<_, Infallible>(Response::new(StreamBody::new(silent)))
///     });
/// let response = client.oneshot(Request::new(Empty::new())).await?;
/// let error = response.into_body().collect().await.unwrap_err();
/// assert_eq!(error.downcast_ref::<TimedOut>().map(TimedOut::limit), Some(Duration::from_secs(10)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a layer does nothing until it is applied"]
pub struct BodyTimeoutLayer {
    idle: Option<Duration>,
    total: Option<Duration>,
}

impl BodyTimeoutLayer {
    /// Returns a layer without limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the maximum time for which a reader waits for the next frame. Only time in which the reader polls counts.
    pub fn idle(mut self, limit: Duration) -> Self {
        self.idle = Some(limit);
        self
    }

    /// Sets the maximum time from the head of a response to the end of its body, however slow its reader is. Do not set it
    /// for long-lived streams.
    pub fn total(mut self, limit: Duration) -> Self {
        self.total = Some(limit);
        self
    }
}

impl<S> Layer<S> for BodyTimeoutLayer {
    type Service = BodyTimeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BodyTimeout { inner, limits: *self }
    }
}

/// A service whose response bodies have time limits: see [`BodyTimeoutLayer`].
#[derive(Clone, Debug)]
pub struct BodyTimeout<S> {
    inner: S,
    limits: BodyTimeoutLayer,
}

impl<S, B, R> Service<Request<B>> for BodyTimeout<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
    R::Error: Into<BoxError>,
{
    type Response = Response<TimedBody<R>>;
    type Error = S::Error;
    type Future = BodyTimeoutFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        BodyTimeoutFuture { call: self.inner.call(request), limits: self.limits }
    }
}

pin_project! {
    /// The future of [`BodyTimeout`].
    #[derive(Debug)]
    pub struct BodyTimeoutFuture<F> {
        #[pin]
        call: F,
        limits: BodyTimeoutLayer,
    }
}

impl<F, B, E> Future for BodyTimeoutFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<TimedBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.call.poll(cx))?;
        let grpc = is_grpc(response.headers());
        Poll::Ready(Ok(response.map(|body| TimedBody::new(body, *this.limits, grpc))))
    }
}

pin_project! {
    /// The body of a response that passed a [`BodyTimeout`]: the same frames, until a time limit ends it.
    pub struct TimedBody<B> {
        // `None` after the timeout.
        #[pin]
        body: Option<B>,
        limits: BodyTimeoutLayer,
        // The end of the total limit.
        until: Option<Tick>,
        // Whether the reader waits for a frame. Then the timer is set for the nearest limit.
        waits: bool,
        #[pin]
        timer: Option<Sleep>,
        grpc: bool,
    }
}

/// An empty body. Layers further out that make their own responses need it.
impl<B> Default for TimedBody<B> {
    fn default() -> Self {
        let limits = BodyTimeoutLayer::new();
        Self { body: None, limits, until: None, waits: false, timer: None, grpc: false }
    }
}

impl<B> TimedBody<B> {
    fn new(body: B, limits: BodyTimeoutLayer, grpc: bool) -> Self {
        let until = limits.total.map(|total| clock::now() + total);
        Self { body: Some(body), limits, until, waits: false, timer: None, grpc }
    }
}

impl<B> Body for TimedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        match body.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                *this.waits = false;
                if !this.until.is_some_and(|until| clock::now() >= until) {
                    return Poll::Ready(Some(Ok(frame)));
                }
            }
            Poll::Ready(frame) => return Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => {
                if !std::mem::replace(this.waits, true) {
                    let now = clock::now();
                    let idle = this.limits.idle.map(|idle| now + idle);
                    let until = idle.into_iter().chain(*this.until).min();
                    this.timer.set(until.map(|until| sleep(until.since(now))));
                }
                match this.timer.as_mut().as_pin_mut() {
                    Some(timer) => ready!(timer.poll(cx)),
                    None => return Poll::Pending,
                }
            }
        }
        let why = match (*this.until, this.limits.total, this.limits.idle) {
            (Some(until), Some(total), _) if clock::now() >= until => {
                TimedOut::new("the response body", "total", total)
            }
            (_, _, idle) => {
                TimedOut::new("the next part of the response body", "idle", idle.unwrap_or_default())
            }
        };
        timing_out(|| this.body.set(None));
        this.timer.set(None);
        Poll::Ready(Some(last_frame(why, *this.grpc)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(feature = "grpc")]
fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(GRPC))
}

#[cfg(not(feature = "grpc"))]
fn is_grpc(_: &HeaderMap) -> bool {
    false
}

/// The last frame of a body that timed out.
#[cfg_attr(not(feature = "grpc"), allow(unused_variables))]
fn last_frame<D>(why: TimedOut, grpc: bool) -> Result<Frame<D>, BoxError> {
    #[cfg(feature = "grpc")]
    if grpc {
        let mut trailers = super::grpc::timed_out(&why).into_parts().0.headers;
        trailers.remove(header::CONTENT_TYPE);
        return Ok(Frame::trailers(trailers));
    }
    Err(why.into())
}

impl<B> fmt::Debug for TimedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimedBody")
            .field("limits", &self.limits)
            .field("timed_out", &self.body.is_none())
            .finish_non_exhaustive()
    }
}

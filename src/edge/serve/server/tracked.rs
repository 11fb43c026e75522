//! A service whose requests are counted, each up to the end of its response's body.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::ConnectInfo;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::Service;

use super::load::{InProgress, Tracker};

/// The service of one connection.
#[derive(Clone)]
pub(super) struct Tracked<S, A> {
    service: S,
    tracker: Arc<Tracker>,
    peer: A,
}

impl<S, A> Tracked<S, A> {
    pub(super) fn new(service: S, tracker: Arc<Tracker>, peer: A) -> Self {
        Self { service, tracker, peer }
    }
}

impl<S, A, I, B> Service<Request<I>> for Tracked<S, A>
where
    S: Service<Request<I>, Response = Response<B>>,
    A: Clone + Send + Sync + 'static,
{
    type Response = Response<TrackedBody<B>>;
    type Error = S::Error;
    type Future = TrackedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<I>) -> Self::Future {
        let in_progress = InProgress::begin(&self.tracker);
        request.extensions_mut().insert(ConnectInfo(self.peer.clone()));
        let is_http1 = request.version() < Version::HTTP_2;
        TrackedFuture { future: self.service.call(request), in_progress: Some(in_progress), is_http1 }
    }
}

pin_project! {
    pub(super) struct TrackedFuture<F> {
        #[pin]
        future: F,
        in_progress: Option<InProgress>,
        is_http1: bool,
    }
}

impl<F, B, E> Future for TrackedFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<TrackedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.future.poll(cx))?;
        let in_progress = this.in_progress.take();
        let ends = *this.is_http1 && response.status() != StatusCode::SWITCHING_PROTOCOLS;
        if ends && in_progress.as_ref().is_some_and(InProgress::is_closing) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response.map(|body| TrackedBody { body, _in_progress: in_progress })))
    }
}

pin_project! {
    pub(super) struct TrackedBody<B> {
        #[pin]
        body: B,
        _in_progress: Option<InProgress>,
    }
}

impl<B: Body> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! The layers around a client, for requests of the crate `http`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::reqwest::{Body, Error};
use pin_project_lite::pin_project;
use tower::Service;

use super::ending::result_of;
use super::send::Sender;
use crate::base::error::CallError;
use crate::edge::stack::Stack;
use crate::layers::replay::ReplayBody;

type Inner = Stack<Sender>;

/// An [`HttpClient`](super::HttpClient) for requests of the crate `http`, as a redrive sends them: see
/// [`HttpClient::http_service`](super::HttpClient::http_service).
#[derive(Clone)]
pub struct HttpService {
    stack: Inner,
}

impl HttpService {
    pub(super) fn new(stack: Inner) -> Self {
        Self { stack }
    }
}

impl Service<http::Request<ReplayBody>> for HttpService {
    type Response = http::Response<Body>;
    type Error = CallError<Error>;
    type Future = HttpServiceFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.stack.poll_ready(cx).map_err(|error| CallError::Inner(error.error))
    }

    fn call(&mut self, request: http::Request<ReplayBody>) -> Self::Future {
        HttpServiceFuture { call: self.stack.call(request) }
    }
}

impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpService").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`HttpService`].
    pub struct HttpServiceFuture {
        #[pin]
        call: <Inner as Service<http::Request<ReplayBody>>>::Future,
    }
}

impl Future for HttpServiceFuture {
    type Output = Result<http::Response<Body>, CallError<Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(result_of(ready!(self.project().call.poll(cx))))
    }
}

impl fmt::Debug for HttpServiceFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServiceFuture").finish_non_exhaustive()
    }
}

//! The innermost service, which sends one attempt through reqwest.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::reqwest::{Body, Client, Error, Request, Response};
use pin_project_lite::pin_project;
use tower::Service;

use super::body::Watch;
use super::convert::{HidesSecrets, response_to_http, to_reqwest};
use crate::base::error::SendError;
use crate::layers::replay::ReplayBody;

/// Sends requests through a client of reqwest.
#[derive(Clone, Debug)]
pub(super) struct Sender(pub(super) Client);

impl Service<http::Request<ReplayBody>> for Sender {
    type Response = http::Response<Body>;
    type Error = SendError<Error>;
    type Future = Sending<<Client as Service<Request>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx).map_err(|error| SendError { error, redirected: false })
    }

    fn call(&mut self, request: http::Request<ReplayBody>) -> Self::Future {
        Sending::new(request, |request| self.0.call(request))
    }
}

pin_project! {
    /// The future of one attempt.
    #[project = SendingProjection]
    pub(super) enum Sending<F> {
        Called {
            #[pin]
            call: F,
            watch: Option<Watch>,
            // A server has answered with a redirect that does not need the body.
            redirected: bool,
        },
        Failed {
            error: Option<Error>,
        },
    }
}

impl<F> Sending<F> {
    /// Passes `request` to `call`, if reqwest can send it.
    pub(super) fn new(request: http::Request<ReplayBody>, call: impl FnOnce(Request) -> F) -> Self {
        match to_reqwest(request) {
            Ok((request, watch)) => Self::Called { call: call(request), watch, redirected: false },
            Err(error) => Self::Failed { error: Some(error) },
        }
    }
}

impl<F, E> Future for Sending<F>
where
    F: Future<Output = Result<Response, E>>,
    E: HidesSecrets + From<Error>,
{
    type Output = Result<http::Response<Body>, SendError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            SendingProjection::Called { call, watch, redirected } => match call.poll(cx) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response_to_http(response))),
                Poll::Ready(Err(error)) => {
                    let error = error.without_secrets();
                    Poll::Ready(Err(SendError { error, redirected: *redirected }))
                }
                Poll::Pending => {
                    // At its end, the call drops the body in any case.
                    *redirected = *redirected || watch.as_ref().is_some_and(Watch::is_used);
                    Poll::Pending
                }
            },
            SendingProjection::Failed { error } => match error.take() {
                Some(error) => {
                    let error = error.without_secrets().into();
                    Poll::Ready(Err(SendError { error, redirected: false }))
                }
                None => panic!("the future of an HTTP client was polled after completion"),
            },
        }
    }
}

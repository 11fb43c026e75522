//! A layer that may be absent.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body_util::Either;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// A service with a layer around it, or without. Unlike [`tower::util::Either`], the bodies of the responses may differ.
#[derive(Clone, Debug)]
pub enum Optional<A, B> {
    With(A),
    Without(B),
}

impl<A, B> Optional<A, B> {
    pub(super) fn new(layer: Option<impl Layer<B, Service = A>>, service: B) -> Self {
        match layer {
            Some(layer) => Self::With(layer.layer(service)),
            None => Self::Without(service),
        }
    }
}

impl<A, B, Q, P, R, E> Service<Request<Q>> for Optional<A, B>
where
    A: Service<Request<Q>, Response = Response<P>, Error = E>,
    B: Service<Request<Q>, Response = Response<R>, Error = E>,
{
    type Response = Response<Either<P, R>>;
    type Error = E;
    type Future = OptionalFuture<A::Future, B::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        match self {
            Self::With(service) => service.poll_ready(cx),
            Self::Without(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        match self {
            Self::With(service) => OptionalFuture::With { call: service.call(request) },
            Self::Without(service) => OptionalFuture::Without { call: service.call(request) },
        }
    }
}

pin_project! {
    /// The future of [`Optional`].
    #[project = Projection]
    pub enum OptionalFuture<A, B> {
        With { #[pin] call: A },
        Without { #[pin] call: B },
    }
}

impl<A, B, P, R, E> Future for OptionalFuture<A, B>
where
    A: Future<Output = Result<Response<P>, E>>,
    B: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<Either<P, R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.project() {
            Projection::With { call } => ready!(call.poll(cx)).map(|response| response.map(Either::Left)),
            Projection::Without { call } => ready!(call.poll(cx)).map(|response| response.map(Either::Right)),
        })
    }
}

//! Errors whose causes can be asked for, whatever the service calls its error.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower::{BoxError, Service};

/// A service whose errors are boxed, so that their causes can be asked for.
#[derive(Clone, Debug)]
pub struct BoxingErrors<S> {
    inner: S,
}

impl<S> BoxingErrors<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, Req> Service<Req> for BoxingErrors<S>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxingErrorsFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        BoxingErrorsFuture { call: self.inner.call(request) }
    }
}

pin_project! {
    /// The future of [`BoxingErrors`].
    #[derive(Debug)]
    pub struct BoxingErrorsFuture<F> {
        #[pin]
        call: F,
    }
}

impl<F, T, E> Future for BoxingErrorsFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().call.poll(cx).map_err(Into::into)
    }
}

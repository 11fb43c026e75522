//! The future of a breaker: a call through its circuit, or a rejection.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::BoxError;

use super::permit::Permit;
use crate::base::error::Rejected;
use crate::base::outcome::{Classify, Guarded};

pin_project! {
    /// The future of [`Breaker`](super::Breaker).
    pub struct ResponseFuture<F, C> {
        #[pin]
        state: State<F, C>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, C> {
        Called { #[pin] call: Guarded<F, Permit>, classifier: C },
        Refused { rejected: Option<BoxError> },
    }
}

impl<F, C> ResponseFuture<F, C> {
    #[inline(always)]
    pub(super) fn called(inner: F, permit: Permit, classifier: C) -> Self {
        Self { state: State::Called { call: Guarded::new(inner, permit), classifier } }
    }

    pub(super) fn refused(rejected: Box<Rejected>) -> Self {
        Self { state: State::Refused { rejected: Some(rejected) } }
    }
}

impl<F, C, Res, E> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<Res, E>>,
    E: Into<BoxError>,
    C: Classify<Res, BoxError>,
{
    type Output = Result<Res, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Called { mut call, classifier } => {
                let result = ready!(call.as_mut().poll(cx)).map_err(Into::into);
                call.settle(classifier.classify(result.as_ref()));
                Poll::Ready(result)
            }
            StateProjection::Refused { rejected } => match rejected.take() {
                Some(rejected) => Poll::Ready(Err(rejected)),
                None => panic!("the future of a circuit breaker was polled after completion"),
            },
        }
    }
}

impl<F, C> fmt::Debug for ResponseFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = matches!(self.state, State::Refused { .. });
        f.debug_struct("ResponseFuture").field("refused", &refused).finish_non_exhaustive()
    }
}

//! Futures that report the end of their call to an observer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::classify::{Classify, Outcome};
use super::settle::Settle;

pin_project! {
    /// A call with an observer. The observer stays in place until the end, because moving it is as expensive as its work.
    #[derive(Debug)]
    pub(crate) struct Guarded<F, O> {
        #[pin]
        inner: F,
        observer: O,
    }
}

impl<F, O: Settle> Guarded<F, O> {
    /// Tells `observer` that user code no longer runs: the inner call has been made.
    #[inline(always)]
    pub(crate) fn new(inner: F, mut observer: O) -> Self {
        observer.in_user_code(false);
        Self { inner, observer }
    }

    /// Reports the end of the call.
    #[inline(always)]
    pub(crate) fn settle(self: Pin<&mut Self>, outcome: Outcome) {
        self.project().observer.settle(outcome);
    }
}

#[cfg(feature = "http")]
impl<F, O> Guarded<F, Option<O>> {
    /// Takes the observer, which then observes the response body.
    pub(crate) fn take(self: Pin<&mut Self>) -> Option<O> {
        self.project().observer.take()
    }
}

impl<F: Future, O: Settle> Future for Guarded<F, O> {
    type Output = F::Output;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.observer.in_user_code(true);
        let polled = this.inner.poll(cx);
        this.observer.in_user_code(false);
        if polled.is_pending() {
            this.observer.pending();
        }
        polled
    }
}

pin_project! {
    /// A call whose result is classified and passes unchanged.
    #[derive(Debug)]
    pub struct Judged<F, C, O> {
        #[pin]
        call: Guarded<F, O>,
        classifier: C,
    }
}

impl<F, C, O: Settle> Judged<F, C, O> {
    #[inline(always)]
    pub(crate) fn new(inner: F, classifier: C, observer: O) -> Self {
        Self { call: Guarded::new(inner, observer), classifier }
    }
}

impl<F, C, O, Res, E> Future for Judged<F, C, O>
where
    F: Future<Output = Result<Res, E>>,
    C: Classify<Res, E>,
    O: Settle,
{
    type Output = Result<Res, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = ready!(this.call.as_mut().poll(cx));
        this.call.settle(this.classifier.classify(result.as_ref()));
        Poll::Ready(result)
    }
}

#[cfg(feature = "http")]
pub(crate) use http::Streamed;

#[cfg(feature = "http")]
mod http {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use http::Response;
    use http::response::Parts;
    use http_body::Body;
    use pin_project_lite::pin_project;

    use super::Guarded;
    use crate::base::outcome::body::ObservedBody;
    use crate::base::outcome::classify::Classify;
    use crate::base::outcome::settle::Settle;

    pin_project! {
        /// A call that is observed to the end of its response's body.
        #[derive(Debug)]
        pub struct Streamed<F, C, O> {
            #[pin]
            call: Guarded<F, Option<O>>,
            to_head: bool,
            classifier: Option<C>,
        }
    }

    impl<F, C, O: Settle> Streamed<F, C, O> {
        /// `to_head` is set for `HEAD` requests, whose responses have no body.
        pub(crate) fn new(inner: F, to_head: bool, classifier: C, observer: O) -> Self {
            Self { call: Guarded::new(inner, Some(observer)), to_head, classifier: Some(classifier) }
        }
    }

    impl<F, C, O, B, E> Future for Streamed<F, C, O>
    where
        F: Future<Output = Result<Response<B>, E>>,
        B: Body,
        C: Classify<Parts, E>,
        O: Settle,
    {
        type Output = Result<Response<ObservedBody<B, C, O>>, E>;

        #[inline]
        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            let mut this = self.project();
            let result = ready!(this.call.as_mut().poll(cx));
            let (Some(mut observer), Some(classifier)) = (this.call.take(), this.classifier.take()) else {
                panic!("the future of a call was polled after completion");
            };
            Poll::Ready(match result {
                Ok(response) => Ok(ObservedBody::watch(response, *this.to_head, classifier, observer)),
                Err(error) => {
                    observer.settle(classifier.classify(Err(&error)));
                    Err(error)
                }
            })
        }
    }
}

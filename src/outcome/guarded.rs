//! Futures that tell somebody how their call ended.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{Classify, Settle};

pin_project! {
    /// A call that somebody watches: gives the observer back with the call's output, to be settled.
    #[derive(Debug)]
    pub(crate) struct Guarded<F, O> {
        #[pin]
        inner: F,
        observer: Option<O>,
    }
}

impl<F, O: Settle> Guarded<F, O> {
    /// `observer` was told that user code runs before the inner call was made; here that ends.
    pub(crate) fn new(inner: F, mut observer: O) -> Self {
        observer.in_user_code(false);
        Self { inner, observer: Some(observer) }
    }
}

impl<F: Future, O: Settle> Future for Guarded<F, O> {
    /// The observer is there unless a future is polled after its end.
    type Output = (F::Output, Option<O>);

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(observer) = this.observer {
            observer.in_user_code(true);
        }
        let polled = this.inner.poll(cx);
        if let Some(observer) = this.observer {
            observer.in_user_code(false);
            if polled.is_pending() {
                observer.pending();
            }
        }
        Poll::Ready((ready!(polled), this.observer.take()))
    }
}

pin_project! {
    /// A call whose result passes unchanged, judged on its way.
    #[derive(Debug)]
    pub struct Judged<F, C, O> {
        #[pin]
        call: Guarded<F, O>,
        classifier: C,
    }
}

impl<F, C, O: Settle> Judged<F, C, O> {
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
        let this = self.project();
        let (result, observer) = ready!(this.call.poll(cx));
        if let Some(observer) = observer {
            observer.settle(this.classifier.classify(result.as_ref()));
        }
        Poll::Ready(result)
    }
}

#[cfg(feature = "http")]
pub use http::Streamed;

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
    use crate::outcome::{Classify, ObservedBody, Settle};

    pin_project! {
        /// A call whose response is watched to the end of its body.
        #[derive(Debug)]
        pub struct Streamed<F, C, O> {
            #[pin]
            call: Guarded<F, O>,
            classifier: Option<C>,
        }
    }

    impl<F, C, O: Settle> Streamed<F, C, O> {
        pub(crate) fn new(inner: F, classifier: C, observer: O) -> Self {
            Self { call: Guarded::new(inner, observer), classifier: Some(classifier) }
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
            let this = self.project();
            let (result, observer) = ready!(this.call.poll(cx));
            let (Some(observer), Some(classifier)) = (observer, this.classifier.take()) else {
                // Polled again after its end, which no future promises anything about.
                return Poll::Pending;
            };
            Poll::Ready(match result {
                Ok(response) => Ok(ObservedBody::watch(response, classifier, observer)),
                Err(error) => {
                    observer.settle(classifier.classify(Err(&error)));
                    Err(error)
                }
            })
        }
    }
}

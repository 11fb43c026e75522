//! The future of a request in its span.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderName, HeaderValue, Response};
use http_body::Body;
use pin_project_lite::pin_project;

use super::body::SpanBody;
use super::observed::Observed;
use crate::base::error::Cause;
use crate::base::outcome::line;
use crate::telemetry::correlation::CorrelationId;
use crate::telemetry::error_type::kind_name;

/// The maximum length of the text of an error, in bytes.
const LONGEST: usize = 1_024;

pin_project! {
    /// The future of a request in its span.
    pub struct SpanFuture<F, K> {
        #[pin]
        inner: Option<F>,
        observed: Option<Observed>,
        // Servers: the id for the response, and its header.
        correlation: Option<(CorrelationId, HeaderName)>,
        to_head: bool,
        kind: PhantomData<fn() -> K>,
    }

    impl<F, K> PinnedDrop for SpanFuture<F, K> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(observed) = this.observed
                && !observed.panicked()
            {
                observed.within(|| this.inner.set(None));
            }
        }
    }
}

impl<F, K> SpanFuture<F, K> {
    /// `to_head` is set for `HEAD` requests, whose responses have no body.
    #[inline]
    pub(super) fn new(
        inner: F,
        observed: Option<Observed>,
        correlation: Option<(CorrelationId, HeaderName)>,
        to_head: bool,
    ) -> Self {
        Self { inner: Some(inner), observed, correlation, to_head, kind: PhantomData }
    }
}

impl<F, K, B, E> Future for SpanFuture<F, K>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: Cause<K>,
{
    type Output = Result<Response<SpanBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut poll = || {
            let Some(inner) = this.inner.as_mut().as_pin_mut() else {
                panic!("the future of a request was polled after completion");
            };
            let polled = inner.poll(cx);
            if polled.is_ready() {
                // What it holds is dropped inside the span too.
                this.inner.set(None);
            }
            polled
        };
        let result = ready!(match this.observed {
            Some(observed) => observed.within(poll),
            None => poll(),
        });
        let observed = this.observed.take();
        Poll::Ready(match result {
            Ok(mut response) => {
                if let Some((id, name)) = this.correlation.take()
                    && !response.headers().contains_key(&name)
                    && let Ok(id) = HeaderValue::from_str(id.as_str())
                {
                    // A response with 32,768 header fields has no room for it.
                    let _ = response.headers_mut().try_insert(name, id);
                }
                Ok(SpanBody::follow(response, observed, *this.to_head))
            }
            Err(error) => {
                if let Some(mut observed) = observed {
                    error.ask(|error| observed.fail(kind_name(error).as_deref(), &line(error, LONGEST)));
                }
                Err(error)
            }
        })
    }
}

impl<F, K> fmt::Debug for SpanFuture<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanFuture").field("observed", &self.observed).finish_non_exhaustive()
    }
}

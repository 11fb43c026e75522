//! The layer for any service, and its service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::handle::Timing;
use super::meter::Meter;
use super::stopwatch::Stopwatch;
use crate::base::error::{ByError, Cause};
use crate::base::outcome::{ByCause, ByResult, Classify, Judged};

impl Timing {
    /// A layer for any [`tower::Service`]. Responses and errors pass unchanged.
    ///
    /// Every `Ok` counts as a success. For responses with a status, such as `http::Response`, use `http_server_layer`,
    /// `http_client_layer` or [`TimingLayer::classify`]; otherwise the first call logs a warning.
    #[must_use]
    pub fn layer<K>(&self) -> TimingLayer<ByResult, K> {
        TimingLayer { meter: Arc::clone(&self.meter), classifier: ByCause::new(ByResult), by_default: true }
    }
}

/// Times the calls of a service: see [`Timing::layer`].
///
/// `K` is inferred: see [`Cause`](crate::base::error::Cause).
pub struct TimingLayer<C = ByResult, K = ByError> {
    meter: Arc<Meter>,
    classifier: ByCause<C, K>,
    /// Whether the classifier was not replaced.
    by_default: bool,
}

cloned! { TimingLayer<C; K> { meter, classifier, by_default } }

impl<C, K> TimingLayer<C, K> {
    /// Replaces [`ByResult`], which decides what failed, by `classifier`: a closure, or any [`Classify`]`<Response>`.
    pub fn classify<D>(self, classifier: D) -> TimingLayer<D, K> {
        TimingLayer { meter: self.meter, classifier: self.classifier.with(classifier), by_default: false }
    }
}

impl<S, C: Clone, K> Layer<S> for TimingLayer<C, K> {
    type Service = Timed<S, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        let (meter, classifier) = (Arc::clone(&self.meter), self.classifier.clone());
        Timed { inner, meter, classifier, by_default: self.by_default }
    }
}

impl<C, K> fmt::Debug for TimingLayer<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimingLayer").finish_non_exhaustive()
    }
}

/// A service whose calls are timed; made by [`TimingLayer`].
#[derive(Debug)]
pub struct Timed<
    S,            // a `Service<_>`
    C = ByResult, // a `Classify<S::Response>`
    K = ByError,  // the error of `S` is a `Cause<K>`
> {
    inner: S,
    meter: Arc<Meter>,
    classifier: ByCause<C, K>,
    by_default: bool,
}

cloned! { Timed<S, C; K> { inner, meter, classifier, by_default } }

impl<S, C, K, Req> Service<Req> for Timed<S, C, K>
where
    S: Service<Req>,
    S::Error: Cause<K>,
    C: Classify<S::Response> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Judged<S::Future, ByCause<C, K>, Stopwatch>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        if self.by_default {
            self.meter.see::<S::Response>();
        }
        let stopwatch = Stopwatch::start(&self.meter);
        Judged::new(self.inner.call(request), self.classifier.clone(), stopwatch)
    }
}

//! The layer for any service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::handle::Meter;
use super::stopwatch::Stopwatch;
use crate::outcome::{ByResult, Classify, Judged};

/// Times the calls of a service: see [`Timing::layer`](crate::Timing::layer).
#[derive(Clone)]
pub struct TimingLayer<C = ByResult> {
    meter: Arc<Meter>,
    classifier: C,
}

impl TimingLayer {
    pub(super) fn new(meter: Arc<Meter>) -> Self {
        Self { meter, classifier: ByResult }
    }
}

impl<C> TimingLayer<C> {
    /// Lets `classifier` decide what failed, in place of [`ByResult`].
    pub fn classify<D>(self, classifier: D) -> TimingLayer<D> {
        TimingLayer { meter: self.meter, classifier }
    }
}

impl<S, C: Clone> Layer<S> for TimingLayer<C> {
    type Service = Timed<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Timed { inner, meter: Arc::clone(&self.meter), classifier: self.classifier.clone() }
    }
}

impl<C> fmt::Debug for TimingLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimingLayer").finish_non_exhaustive()
    }
}

/// A service whose calls are timed.
#[derive(Clone, Debug)]
pub struct Timed<S, C = ByResult> {
    inner: S,
    meter: Arc<Meter>,
    classifier: C,
}

impl<S, C, Req> Service<Req> for Timed<S, C>
where
    S: Service<Req>,
    C: Classify<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Judged<S::Future, C, Stopwatch>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        let stopwatch = Stopwatch::start(&self.meter);
        Judged::new(self.inner.call(request), self.classifier.clone(), stopwatch)
    }
}

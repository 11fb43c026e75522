//! The service of [`BreakerLayer`](super::BreakerLayer).

use std::task::{Context, Poll};

use tower::{BoxError, Service};

use super::future::ResponseFuture;
use super::gate::Gate;
use crate::base::bounds::{CloneService, IntoBoxError};
use crate::base::outcome::{ByResult, Classify};

/// A service behind a circuit; made by [`BreakerLayer`](super::layer::BreakerLayer). The error of a refused call holds
/// [`Rejected`](crate::Rejected).
#[derive(Clone, Debug)]
pub struct Breaker<
    S,            // a `Service<Req> + Clone` whose error becomes a `tower::BoxError`
    C = ByResult, // a `Classify<S::Response, tower::BoxError>`
> {
    gate: Gate<S>,
    classifier: C,
    by_default: bool,
}

impl<S, C> Breaker<S, C> {
    pub(super) fn new(gate: Gate<S>, classifier: C, by_default: bool) -> Self {
        Self { gate, classifier, by_default }
    }
}

impl<S, C, Req> Service<Req> for Breaker<S, C>
where
    S: Service<Req> + CloneService,
    S::Error: IntoBoxError,
    C: Classify<S::Response, BoxError> + Clone,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, C>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.gate.poll_ready(cx).map_err(Into::into)
    }

    // Inlined, so that the future is built in place.
    #[inline(always)]
    fn call(&mut self, request: Req) -> Self::Future {
        match self.gate.call(request) {
            Ok((future, permit)) => {
                if self.by_default {
                    self.gate.see::<S::Response>();
                }
                ResponseFuture::called(future, permit, self.classifier.clone())
            }
            Err(rejected) => ResponseFuture::refused(rejected),
        }
    }
}

//! The future of the layers: the first try, then the fallback.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::BoxError;

use super::error::FallbackFailed;
use super::kinds::{CallEnd, FallbackKind};
use super::policy::{Owner, Tally};
use crate::base::outcome::FailureKind;
use crate::base::panics::catch;
use crate::layers::attempts::Record;

/// What happens around the two tries of one call.
pub trait Plan {
    /// What the first try gives.
    type First;
    /// The response of the layer.
    type Response;
    /// The error of the layer.
    type Error;
    /// The call of the fallback.
    type Second: Future<Output = Result<Self::Response, BoxError>>;
    /// What leads to the policy.
    type Owner: Owner;

    /// The result of the first try as the caller gets it, and how it failed.
    fn judge(
        &mut self,
        owner: &Self::Owner,
        first: Self::First,
    ) -> (Result<Self::Response, Self::Error>, Option<FailureKind>);

    /// The fallback, if it has an answer.
    fn second(&mut self, owner: &Self::Owner) -> Option<Self::Second>;

    /// Attaches the failure of the fallback to the first result.
    fn attach(
        first: Result<Self::Response, Self::Error>,
        failed: FallbackFailed,
    ) -> Result<Self::Response, Self::Error>;
}

pin_project! {
    /// The future of a service with a fallback.
    pub struct FallbackFuture<F, P>
    where
        P: Plan,
    {
        #[pin]
        state: State<F, P::Second>,
        plan: P,
        tally: Tally<P::Owner>,
        first: Option<(Result<P::Response, P::Error>, FailureKind)>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, S> {
        First { #[pin] future: F },
        // The fallback's failed attempts are kept apart from those of the first try.
        Second { #[pin] future: S, record: Record },
        Ended,
    }
}

impl<F, P: Plan> FallbackFuture<F, P> {
    #[inline(always)]
    pub(super) fn new(future: F, plan: P, owner: P::Owner, kind: FallbackKind) -> Self {
        Self { state: State::First { future }, plan, tally: Tally::new(owner, kind), first: None }
    }
}

impl<F, P> Future for FallbackFuture<F, P>
where
    P: Plan,
    F: Future<Output = P::First>,
{
    type Output = Result<P::Response, P::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let StateProjection::First { future } = this.state.as_mut().project() {
            let first = ready!(future.poll(cx));
            let (first, failure) = this.plan.judge(&this.tally.owner, first);
            let Some(failure) = failure else {
                this.tally.end(CallEnd::Success);
                return Poll::Ready(first);
            };
            match catch(|| this.plan.second(&this.tally.owner)) {
                Ok(Some(second)) => {
                    *this.first = Some((first, failure));
                    this.state.set(State::Second { future: second, record: Record::default() });
                }
                Ok(None) => {
                    this.tally.end(CallEnd::Missing);
                    return Poll::Ready(first);
                }
                Err(panic) => {
                    let failed = this.tally.owner.policy().panicked(&panic);
                    this.tally.failed(&failed);
                    return Poll::Ready(P::attach(first, failed));
                }
            }
        }
        let StateProjection::Second { future, record } = this.state.as_mut().project() else {
            panic!("the future of a fallback was polled after completion")
        };
        let second = match catch(|| record.during(|| future.poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(response))) => Ok(response),
            Ok(Poll::Ready(Err(error))) => Err(this.tally.owner.policy().failed_with(&error)),
            Err(panic) => Err(this.tally.owner.policy().panicked(&panic)),
        };
        drop(catch(|| this.state.set(State::Ended)));
        let Some((first, failure)) = this.first.take() else {
            panic!("the future of a fallback was polled after completion")
        };
        Poll::Ready(match second {
            Ok(response) => {
                this.tally.answered(failure);
                Ok(response)
            }
            Err(failed) => {
                this.tally.failed(&failed);
                P::attach(first, failed)
            }
        })
    }
}

impl<F, P: Plan> fmt::Debug for FallbackFuture<F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackFuture").finish_non_exhaustive()
    }
}

//! Retries for code that is no service.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use super::attempt_loop::{AttemptLoop, Target};
use super::call_state::{Attempt, Judged, Rules};
use crate::base::error::{CallError, TimedOut};
use crate::base::outcome::{Classify, FailureKind, Outcome};
use crate::layers::attempts::Said;

/// A function to call until it succeeds.
pub(super) struct Work<'a, F, C, Fut, E> {
    work: F,
    classifier: C,
    say: fn(&E) -> Said,
    call: PhantomData<fn(&'a Rules) -> Fut>,
}

impl<'a, F, C, Fut, T, E> Work<'a, F, C, Fut, E>
where
    F: FnMut() -> Fut,
    C: Classify<T, E>,
    Fut: Future<Output = Result<T, E>>,
{
    pub(super) fn attempts(
        rules: &'a Rules,
        work: F,
        classifier: C,
        say: fn(&E) -> Said,
    ) -> AttemptLoop<Self> {
        let target = Self { work, classifier, say, call: PhantomData };
        AttemptLoop::new(rules, target, (), |target, (), _| (target.work)())
    }
}

impl<'a, F, C, Fut, T, E> Target for Work<'a, F, C, Fut, E>
where
    F: FnMut() -> Fut,
    C: Classify<T, E>,
    Fut: Future<Output = Result<T, E>>,
{
    type Link = &'a Rules;
    type Service = F;
    type Request = ();
    type Upload = ();
    type Call = Fut;
    type Output = Result<T, CallError<E>>;

    fn rules<'b>(link: &'b &'a Rules) -> &'b Rules {
        link
    }

    fn copy((): &()) -> Option<()> {
        Some(())
    }

    fn call(work: &mut F, (): (), _: Attempt) -> Fut {
        work()
    }

    #[inline]
    fn upload((): &()) {}

    fn awaits_caller((): &()) -> bool {
        false
    }

    fn poll_ready(
        &mut self,
        _: &&'a Rules,
        _: &mut Context<'_>,
    ) -> Poll<Result<&mut F, Judged<Self::Output>>> {
        Poll::Ready(Ok(&mut self.work))
    }

    fn judge(&mut self, result: Result<T, E>, _: Option<&()>) -> Judged<Self::Output> {
        let outcome = self.classifier.classify(result.as_ref());
        Judged { output: result.map_err(CallError::Inner), outcome, veto: None, asked: None }
    }

    fn say(&self, output: &Self::Output) -> Said {
        match output {
            Ok(_) => Said::answer(),
            Err(CallError::Rejected(rejected)) => Said::by_error(rejected),
            Err(CallError::TimedOut(timed_out)) => Said::by_error(timed_out),
            Err(CallError::Inner(error)) => (self.say)(error),
        }
    }

    fn time_out(&mut self, why: TimedOut, _: Option<&()>) -> Judged<Self::Output> {
        Judged {
            output: Err(CallError::TimedOut(why)),
            outcome: Outcome::Failure(FailureKind::Timeout),
            veto: None,
            asked: None,
        }
    }
}

impl<F, C, Fut, E> fmt::Debug for Work<'_, F, C, Fut, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

//! Retries for code that is not a service.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use super::attempt::Attempt;
use super::attempt_loop::AttemptLoop;
use super::attempt_result::AttemptResult;
use super::handle::Retry;
use super::policy::Policy;
use super::target::Target;
use crate::base::bounds::{self, Attempts};
use crate::base::error::{CallError, Cause, TimedOut};
use crate::base::outcome::{ByCause, ByResult, Classify, FailureKind, Outcome};
use crate::layers::attempts::ErrorText;
use crate::signal::Place;

impl Retry {
    /// Runs `work` until it succeeds or may not be tried again, for code that is not a service.
    ///
    /// Every error is retried, except one with a [`Rejected`](crate::Rejected) among its causes.
    /// For error types that are not [`Cause`] see [`Retry::run_with`]. Every `Ok` counts as a success: for a value with a
    /// status, such as `http::Response`, the first call logs a warning.
    ///
    /// # Errors
    /// [`CallError::TimedOut`] after a timeout, otherwise [`CallError::Inner`] with the error of the last attempt.
    ///
    /// # Example
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), campanile::ConfigError> {
    /// let retry = campanile::Retry::builder().max_attempts(3).build()?;
    /// let mut tries = 0;
    /// let answer = retry
    ///     .run(|| {
    ///         tries += 1;
    ///         let fine = tries == 3;
    ///         async move { if fine { Ok(42) } else { Err(std::io::Error::other("not yet")) } }
    ///     })
    ///     .await;
    /// assert_eq!(answer.ok(), Some(42));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run<F, Fut, T, E, K>(&self, work: F) -> Result<T, CallError<E>>
    where
        F: Attempts<Fut>,
        Fut: bounds::Work<T, E>,
        E: Cause<K>,
    {
        self.policy.see::<T>(Place::Method { name: "run", with: "run_with" });
        Work::attempts(&self.policy, work, ByCause::new(ByResult), |error| error.ask(ErrorText::of_error))
            .await
    }

    /// [`Retry::run`] with a classifier: it decides what failed and what is retried.
    ///
    /// # Errors
    /// As [`Retry::run`].
    pub async fn run_with<C, F, Fut, T, E>(&self, classifier: C, work: F) -> Result<T, CallError<E>>
    where
        C: Classify<T, E>,
        F: Attempts<Fut>,
        Fut: bounds::Work<T, E>,
    {
        self.run_described(classifier, |_| ErrorText::of_type::<E>(), work).await
    }

    /// [`Retry::run_with`], where `text` describes an error for the letter of the call.
    pub(crate) async fn run_described<C, F, Fut, T, E>(
        &self,
        classifier: C,
        text: fn(&E) -> ErrorText,
        work: F,
    ) -> Result<T, CallError<E>>
    where
        C: Classify<T, E>,
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        Work::attempts(&self.policy, work, classifier, text).await
    }
}

/// A function to call until it succeeds.
pub(super) struct Work<'a, F, C, Fut, E> {
    work: F,
    classifier: C,
    error_text: fn(&E) -> ErrorText,
    call: PhantomData<fn(&'a Policy) -> Fut>,
}

impl<'a, F, C, Fut, T, E> Work<'a, F, C, Fut, E>
where
    F: FnMut() -> Fut,
    C: Classify<T, E>,
    Fut: Future<Output = Result<T, E>>,
{
    pub(super) fn attempts(
        policy: &'a Policy,
        work: F,
        classifier: C,
        error_text: fn(&E) -> ErrorText,
    ) -> AttemptLoop<Self> {
        let target = Self { work, classifier, error_text, call: PhantomData };
        AttemptLoop::new(policy, target, (), |target, (), _| (target.work)())
    }
}

impl<'a, F, C, Fut, T, E> Target for Work<'a, F, C, Fut, E>
where
    F: FnMut() -> Fut,
    C: Classify<T, E>,
    Fut: Future<Output = Result<T, E>>,
{
    type Link = &'a Policy;
    type Service = F;
    type Request = ();
    type Upload = ();
    type Call = Fut;
    type Output = Result<T, CallError<E>>;

    fn policy<'b>(link: &'b &'a Policy) -> &'b Policy {
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
        _: &&'a Policy,
        _: &mut Context<'_>,
    ) -> Poll<Result<&mut F, AttemptResult<Self::Output>>> {
        Poll::Ready(Ok(&mut self.work))
    }

    fn judge(&mut self, result: Result<T, E>, _: Option<&()>) -> AttemptResult<Self::Output> {
        let outcome = self.classifier.classify(result.as_ref());
        AttemptResult { output: result.map_err(CallError::Inner), outcome, veto: None, server_delay: None }
    }

    fn error_text(&self, output: &Self::Output) -> ErrorText {
        match output {
            Ok(_) => ErrorText::of_response(),
            Err(CallError::Rejected(rejected)) => ErrorText::of_error(rejected),
            Err(CallError::TimedOut(timed_out)) => ErrorText::of_error(timed_out),
            Err(CallError::Inner(error)) => (self.error_text)(error),
        }
    }

    fn time_out(&mut self, why: TimedOut, _: Option<&()>) -> AttemptResult<Self::Output> {
        AttemptResult {
            output: Err(CallError::TimedOut(why)),
            outcome: Outcome::Failure(FailureKind::Timeout),
            veto: None,
            server_delay: None,
        }
    }
}

impl<F, C, Fut, E> fmt::Debug for Work<'_, F, C, Fut, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

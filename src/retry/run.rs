//! Retries for code that is no service.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use tower::BoxError;

use super::course::{Attempt, Judged, Rules};
use super::drive::{Drive, Target};
use crate::attempts::Said;
use crate::error::{CallError, TimedOut};
use crate::outcome::{Classify, FailureKind, Outcome, kind_of_cause};

/// An error that can be asked for its causes: [`Retry::run`](crate::Retry::run) must not retry a refusal by a
/// circuit breaker, however deep it lies.
///
/// Every [`Error`] can, and so can [`BoxError`], `String` and `&str`, plain or in a [`CallError`]. `K` only
/// tells these apart and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`Retry::run` cannot tell why `{Self}` happened",
    note = "an error type that implements `std::error::Error` works; for any other use `Retry::run_with`"
)]
pub trait Cause<K> {
    /// The error to ask, if there is one.
    fn cause(&self) -> Option<&(dyn Error + 'static)>;

    /// What it says, where there is no error to ask.
    #[doc(hidden)]
    fn text(&self) -> String {
        String::new()
    }
}

/// What an error says.
pub(super) fn said_by_cause<K, E: Cause<K>>(error: &E) -> Said {
    error.cause().map_or_else(|| Said::text(&error.text()), Said::by_error)
}

/// Kinds of [`Cause`].
#[doc(hidden)]
#[derive(Debug)]
pub struct ByError(Infallible);
#[doc(hidden)]
#[derive(Debug)]
pub struct ByBox(Infallible);
#[doc(hidden)]
#[derive(Debug)]
pub struct ByText(Infallible);

impl<E: Error + 'static> Cause<ByError> for E {
    fn cause(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

impl Cause<ByBox> for BoxError {
    fn cause(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.as_ref())
    }
}

impl Cause<ByText> for String {
    fn cause(&self) -> Option<&(dyn Error + 'static)> {
        None
    }

    fn text(&self) -> String {
        self.clone()
    }
}

impl Cause<ByText> for &str {
    fn cause(&self) -> Option<&(dyn Error + 'static)> {
        None
    }

    fn text(&self) -> String {
        (*self).to_owned()
    }
}

impl Cause<ByBox> for CallError<BoxError> {
    fn cause(&self) -> Option<&(dyn Error + 'static)> {
        cause_of_call(self, |inner| Some(inner.as_ref()))
    }
}

impl Cause<ByText> for CallError<String> {
    fn cause(&self) -> Option<&(dyn Error + 'static)> {
        cause_of_call(self, |_| None)
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Cause<ByText> for CallError<&str> {
    fn cause(&self) -> Option<&(dyn Error + 'static)> {
        cause_of_call(self, |_| None)
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

fn cause_of_call<E>(
    error: &CallError<E>,
    inner: impl FnOnce(&E) -> Option<&(dyn Error + 'static)>,
) -> Option<&(dyn Error + 'static)> {
    match error {
        CallError::Rejected(rejected) => Some(rejected),
        CallError::TimedOut(timed_out) => Some(timed_out),
        CallError::Inner(error) => inner(error),
    }
}

/// The rule of [`Retry::run`](crate::Retry::run): `Ok` is a success, the causes of an error tell its kind.
pub(super) struct ByCause<K>(PhantomData<fn() -> K>);

impl<K> ByCause<K> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T, E: Cause<K>, K> Classify<T, E> for ByCause<K> {
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => Outcome::Failure(error.cause().map_or(FailureKind::Error, kind_of_cause)),
        }
    }
}

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
    pub(super) fn drive(rules: &'a Rules, work: F, classifier: C, say: fn(&E) -> Said) -> Drive<Self> {
        let target = Self { work, classifier, say, call: PhantomData };
        Drive::new(rules, target, (), |target, (), _| (target.work)())
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

//! Fallbacks for code that is not a service.

use std::future::{Future, poll_fn};
use std::pin::pin;

use super::answer::Answer;
use super::error::{FallbackError, FallbackFailed};
use super::handle::Fallback;
use super::kinds::{CallEnd, FallbackKind};
use super::policy::{LONGEST_TEXT, Policy, Tally};
use crate::base::error::Cause;
use crate::base::outcome::{ByCause, ByResult, Classify, line};
use crate::base::panics::{catch, caught};
use crate::layers::attempts::Record;

impl Fallback {
    /// Runs `work`; if it fails, runs `fallback`, whose answer the caller gets. For code that is not a service.
    ///
    /// `work` is any future of a `Result`, such as that of a circuit breaker's `call` or a retry's `run`: then the fallback also
    /// runs when the circuit is open, the call was rejected or timed out. `fallback` gets the error and returns a future of a
    /// value, or of a `Result`. Every error leads to the fallback; for another rule, or error types that are not [`Cause`], see
    /// [`Fallback::call_or_with`].
    ///
    /// # Errors
    /// The error of `work`, if the fallback failed too. [`FallbackError::fallback`] has the fallback's failure.
    ///
    /// # Example
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # async fn ask_server() -> std::io::Result<u32> { Err(std::io::ErrorKind::ConnectionRefused.into()) }
    /// # async fn read_file() -> Result<u32, String> { Err("no such file".into()) }
    /// let prices = campanile::Fallback::new("prices");
    /// assert_eq!(prices.call_or(ask_server(), |_| async { 40 }).await.unwrap(), 40);
    ///
    /// let error = prices.call_or(ask_server(), |_| read_file()).await.unwrap_err();
    /// assert_eq!(error.first().kind(), std::io::ErrorKind::ConnectionRefused);
    /// assert_eq!(error.to_string(), "connection refused; fallback `prices` failed too: no such file");
    /// # }
    /// ```
    pub async fn call_or<W, T, E, K, F, Fut, A>(&self, work: W, fallback: F) -> Result<T, FallbackError<E>>
    where
        W: Future<Output = Result<T, E>>,
        E: Cause<K>,
        F: FnOnce(&E) -> Fut,
        Fut: Future,
        Fut::Output: Answer<T, A>,
    {
        let mut tally = Tally::new(&*self.policy, FallbackKind::Function);
        let first = match work.await {
            Ok(answer) => {
                tally.end(CallEnd::Success);
                return Ok(answer);
            }
            Err(first) => first,
        };
        let failure = Classify::<T, E>::classify(&ByCause::new(ByResult), Err(&first)).failure();
        match run(tally.owner, catch(|| fallback(&first))).await {
            Ok(answer) => {
                tally.answered(failure.unwrap_or(crate::FailureKind::Error));
                Ok(answer)
            }
            Err(failed) => {
                tally.failed(&failed);
                Err(FallbackError::new(first, Some(failed)))
            }
        }
    }

    /// [`Fallback::call_or`] with a classifier that decides what failed. `fallback` gets the whole result, because an answer can
    /// be a failure too.
    ///
    /// # Errors
    /// As [`Fallback::call_or`]; also the error of `work` that is no failure. A failed answer is returned if the fallback failed
    /// too.
    pub async fn call_or_with<C, W, T, E, F, Fut, A>(
        &self,
        classifier: C,
        work: W,
        fallback: F,
    ) -> Result<T, FallbackError<E>>
    where
        C: Classify<T, E>,
        W: Future<Output = Result<T, E>>,
        F: FnOnce(Result<&T, &E>) -> Fut,
        Fut: Future,
        Fut::Output: Answer<T, A>,
    {
        let mut tally = Tally::new(&*self.policy, FallbackKind::Function);
        let first = work.await;
        let Some(failure) = classifier.classify(first.as_ref()).failure() else {
            tally.end(CallEnd::Success);
            return first.map_err(|error| FallbackError::new(error, None));
        };
        match run(tally.owner, catch(|| fallback(first.as_ref()))).await {
            Ok(answer) => {
                tally.answered(failure);
                Ok(answer)
            }
            Err(failed) => {
                tally.failed(&failed);
                first.map_err(|error| FallbackError::new(error, Some(failed)))
            }
        }
    }
}

/// The answer of a fallback's future. Its failed attempts are not among those of the first try.
async fn run<T, A, Fut>(
    policy: &Policy,
    started: Result<Fut, crate::base::panics::Panic>,
) -> Result<T, FallbackFailed>
where
    Fut: Future,
    Fut::Output: Answer<T, A>,
{
    let future = started.map_err(|panic| policy.panicked(&panic))?;
    let mut record = Record::default();
    let mut future = pin!(caught(future));
    let answer = poll_fn(|cx| record.during(|| future.as_mut().poll(cx))).await;
    let answer = answer.map_err(|panic| policy.panicked(&panic))?;
    answer.or_ask(|error| FallbackFailed::new(&policy.name, line(error, LONGEST_TEXT)))
}

//! The handle: made by a builder, cheap to clone, shared by every layer made from it.

use std::sync::Arc;

use super::call_state::Rules;
use super::layer::RetryLayer;
use super::run::Work;
use super::settings::{RetryBuilder, RetrySettings};
use super::snapshot::RetrySnapshot;
use crate::base::error::{CallError, Cause, ConfigError};
use crate::base::outcome::{ByCause, ByResult, Classify};
use crate::layers::attempts::Said;
use crate::signal;

/// A retry; see the [module](crate::layers::retry). Clones share the budget and what they count.
#[derive(Clone, Debug)]
pub struct Retry {
    pub(super) rules: Arc<Rules>,
}

impl Retry {
    /// Returns a builder.
    pub fn builder() -> RetryBuilder {
        RetryBuilder::new()
    }

    /// Makes a retry from settings, such as those of a file. `name` appears in metrics and events.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range.
    pub fn from_settings(name: impl Into<Arc<str>>, settings: RetrySettings) -> Result<Self, ConfigError> {
        settings.validate()?;
        let rules = Arc::new(Rules::new(name.into(), settings));
        signal::register(&rules);
        Ok(Self { rules })
    }

    /// The retry's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.rules.name
    }

    /// What was counted so far, and what the budget has left.
    #[must_use]
    pub fn snapshot(&self) -> RetrySnapshot {
        self.rules.snapshot()
    }

    /// A layer for any [`tower::Service`] that is `Clone`, with requests that are `Clone`.
    ///
    /// The error type becomes [`tower::BoxError`]. After a time-out it holds a [`TimedOut`](crate::TimedOut).
    #[must_use]
    pub fn layer(&self) -> RetryLayer {
        RetryLayer::new(Arc::clone(&self.rules))
    }

    /// Runs `work` until it succeeds or may not be tried again, for code that is no service.
    ///
    /// Every error is retried, except one with a [`Rejected`](crate::Rejected) among its causes.
    /// For an error type of your own that is no [`Cause`] see [`Retry::run_with`].
    ///
    /// # Errors
    /// [`CallError::TimedOut`] after a time-out, otherwise [`CallError::Inner`] with the error of the last attempt.
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
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: Cause<K>,
    {
        Work::attempts(&self.rules, work, ByCause::new(ByResult), |error| error.ask(Said::by_error)).await
    }

    /// [`Retry::run`] with a classifier: it decides what failed and what is retried.
    ///
    /// # Errors
    /// As [`Retry::run`].
    pub async fn run_with<C, F, Fut, T, E>(&self, classifier: C, work: F) -> Result<T, CallError<E>>
    where
        C: Classify<T, E>,
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        Work::attempts(&self.rules, work, classifier, |_| Said::by_name::<E>()).await
    }
}

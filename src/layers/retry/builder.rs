//! The builder of a retry.

use std::sync::Arc;
use std::time::Duration;

use super::budget::RetryBudget;
use super::handle::Retry;
use super::settings::RetrySettings;
use crate::base::backoff::Backoff;
use crate::base::error::ConfigError;

impl Retry {
    /// Returns a builder. Without its setters, a retry makes up to 4 attempts: see
    /// [`RetrySettings`](super::settings::RetrySettings).
    pub fn builder() -> RetryBuilder {
        RetryBuilder::default()
    }
}

/// Makes a [`Retry`]. Every setting has a default; see [`RetrySettings`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct RetryBuilder {
    name: Arc<str>,
    settings: RetrySettings,
}

impl Default for RetryBuilder {
    /// The name `default`, and [`RetrySettings::default`].
    fn default() -> Self {
        Self { name: "default".into(), settings: RetrySettings::default() }
    }
}

impl RetryBuilder {
    setters! {
        /// Sets the name in metrics and events. Default `default`.
        pub fn name(name: impl Into<Arc<str>>) { name = name.into(); }
        /// Sets the maximum number of attempts, including the first: from 1 to 1,000.
        pub fn max_attempts(attempts: u32) { settings.max_attempts = attempts; }
        /// Sets the wait before each further attempt.
        pub fn backoff(backoff: Backoff) { settings.backoff = backoff; }
        /// Sets the budget of retries over all calls; `None` for no bound.
        pub fn budget(budget: impl Into<Option<RetryBudget>>) { settings.budget = budget.into(); }
        /// Sets the time limit of a call with all its attempts and waits.
        ///
        /// A wait that would reach it is not started: the caller gets the last result. An attempt that reaches it is
        /// ended, and is a timeout for the inner layers.
        ///
        /// Over HTTP and gRPC it bounds the time to the head of the response. For the body see
        #[cfg_attr(feature = "http", doc = "[`BodyTimeoutLayer`](crate::layers::retry::BodyTimeoutLayer).")]
        #[cfg_attr(not(feature = "http"), doc = "`BodyTimeoutLayer` (feature `http`).")]
        pub fn deadline(deadline: Duration) { settings.deadline = Some(deadline); }
        /// Sets the time limit of one attempt. A longer attempt is ended and has failed. For the inner layers it is a
        /// timeout, however short the limit is.
        ///
        /// Over HTTP and gRPC it bounds the time to the head of the response, as the deadline does.
        pub fn attempt_timeout(timeout: Duration) { settings.attempt_timeout = Some(timeout); }
        /// Sets the cap of `Retry-After` and `grpc-retry-pushback-ms`.
        pub fn retry_after_cap(cap: Duration) { settings.retry_after_cap = cap; }
        /// Sets the maximum size of a request body that is sent again, in bytes: at most 1 GiB.
        pub fn body_cap(bytes: usize) { settings.body_cap = bytes; }
        /// Sets whether `POST`, `PATCH` and any gRPC call are retried like an idempotent method.
        pub fn retry_non_idempotent(retry: bool) { settings.retry_non_idempotent = retry; }
        /// Sets the gRPC codes of calls that were not processed, each from 1 to 16. Calls that end with one of them are
        /// always retried. With tonic: `Code::Aborted as i32`.
        pub fn grpc_codes(codes: impl IntoIterator<Item = i32>) {
            settings.grpc_codes = codes.into_iter().collect();
        }
    }

    /// Builds the retry.
    ///
    /// # Errors
    /// Returns an error that names the setting that is out of range, its value and what is allowed.
    pub fn build(self) -> Result<Retry, ConfigError> {
        Retry::new(self.name, self.settings)
    }
}

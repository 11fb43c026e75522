//! Checks of connection pools.

use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tower::BoxError;

use super::check_trait::Check;
use super::finding::Finding;
use super::text::error_chain;
use super::timeouts;
use crate::base::clock;
use crate::base::error::ConfigError;
use crate::base::outcome::within;

/// A connection pool, to a database or another service.
///
/// Implement it for your own pool to check it with [`PoolCheck`]: see `examples/postgres_health.rs` for that of `sqlx`.
///
/// # Example
/// ```
/// use campanile::health::{Check, Finding, Pool, PoolCheck, PoolState};
/// use tower::BoxError;
///
/// struct MyPool;
///
/// impl Pool for MyPool {
///     fn state(&self) -> PoolState {
///         PoolState { size: 10, idle: 0, max: 10, waiting: None }
///     }
///
///     async fn query(&self) -> Result<(), BoxError> {
///         Ok(()) // SELECT 1
///     }
/// }
///
/// # tokio_test::block_on(async {
/// let check = PoolCheck::builder(MyPool).build()?;
/// assert_eq!(check.check().await, Finding::Warn("all 10 of 10 connections are in use".to_owned()));
/// # Ok::<_, campanile::ConfigError>(())
/// # }).unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a pool that health can check",
    label = "implement `campanile::health::Pool` for a type of your own that holds this pool",
    note = "`examples/postgres_health.rs` does so for the pool of `sqlx`"
)]
pub trait Pool: Send + Sync + 'static {
    /// Returns how full the pool is.
    fn state(&self) -> PoolState;

    /// Takes a connection and runs a cheap query on it, such as `SELECT 1`. The check measures how long that takes. Health
    /// shows the error, so it must not contain secrets.
    fn query(&self) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// How full a [`Pool`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolState {
    /// Number of open connections, in use or idle.
    pub size: u64,
    /// Number of open connections that are not in use.
    pub idle: u64,
    /// Maximum number of connections.
    pub max: u64,
    /// Number of callers that wait for a connection, if the pool knows it.
    pub waiting: Option<u64>,
}

/// The settings of a [`PoolCheck`], as a file can hold them. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PoolCheckSettings {
    /// A query that takes longer, the wait for a connection included, is a warning: more than zero. Default: 500 ms.
    #[serde(with = "crate::base::duration")]
    pub warn_after: Duration,
    /// A query that takes longer is a failure: at least `warn_after`. Default: 2 s.
    #[serde(with = "crate::base::duration")]
    pub fail_after: Duration,
    /// A query that takes longer is ended: at least `fail_after` and at most an hour. Default: 4 s.
    #[serde(with = "crate::base::duration")]
    pub timeout: Duration,
}

impl Default for PoolCheckSettings {
    fn default() -> Self {
        Self {
            warn_after: Duration::from_millis(500),
            fail_after: Duration::from_secs(2),
            timeout: timeouts::DEFAULT,
        }
    }
}

/// Runs a query on a [`Pool`] and looks at how full the pool is.
///
/// A query that fails or takes too long is a failure. A pool that is fully in use, or for which callers wait, is a warning.
/// [`Pool`] has an example.
#[derive(Clone, Debug)]
pub struct PoolCheck<P> {
    pool: P,
    settings: PoolCheckSettings,
}

/// Makes a [`PoolCheck`]: see [`PoolCheck::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PoolCheckBuilder<P> {
    pool: P,
    settings: PoolCheckSettings,
}

impl<P: Pool> PoolCheck<P> {
    /// Starts a check of `pool`.
    pub fn builder(pool: P) -> PoolCheckBuilder<P> {
        PoolCheckBuilder { pool, settings: PoolCheckSettings::default() }
    }

    /// Makes the check of `pool` that `settings` describe.
    ///
    /// # Errors
    /// When a limit is shorter than the one before it. The error names the setting.
    pub fn from_settings(pool: P, settings: &PoolCheckSettings) -> Result<Self, ConfigError> {
        let PoolCheckSettings { warn_after, fail_after, timeout } = *settings;
        timeouts::validate(timeout)?;
        ConfigError::check(!warn_after.is_zero(), "warn_after", warn_after, "more than zero")?;
        ConfigError::check(warn_after <= fail_after, "fail_after", fail_after, "at least `warn_after`")?;
        ConfigError::check(fail_after <= timeout, "timeout", timeout, "at least `fail_after`")?;
        Ok(Self { pool, settings: settings.clone() })
    }
}

impl<P: Pool> PoolCheckBuilder<P> {
    setters! {
        /// See [`PoolCheckSettings::warn_after`].
        pub fn warn_after(limit: Duration) { settings.warn_after = limit; }
        /// See [`PoolCheckSettings::fail_after`].
        pub fn fail_after(limit: Duration) { settings.fail_after = limit; }
        /// See [`PoolCheckSettings::timeout`].
        pub fn timeout(limit: Duration) { settings.timeout = limit; }
    }

    /// Makes the check.
    ///
    /// # Errors
    /// As [`PoolCheck::from_settings`].
    pub fn build(self) -> Result<PoolCheck<P>, ConfigError> {
        PoolCheck::from_settings(self.pool, &self.settings)
    }
}

impl<P: Pool> Check for PoolCheck<P> {
    async fn check(&self) -> Finding {
        // Before the query, which takes a connection itself.
        let state = self.pool.state();
        let PoolCheckSettings { warn_after, fail_after, timeout: limit } = self.settings;
        let began = clock::now();
        match within(limit, self.pool.query()).await {
            Err(_) => {
                return Finding::Fail(format!("a query did not end within {limit:?}; {}", state.usage()));
            }
            Ok(Err(error)) => {
                let reason = error_chain(error.as_ref());
                return Finding::Fail(format!("a query failed: {reason}; {}", state.usage()));
            }
            Ok(Ok(())) => {}
        }
        let took = clock::now().since(began);
        if took > fail_after {
            return Finding::Fail(format!(
                "a query took {took:.1?}, more than {fail_after:?}; {}",
                state.usage()
            ));
        }
        let mut warnings = Vec::new();
        if took > warn_after {
            warnings.push(format!("a query took {took:.1?}, more than {warn_after:?}"));
        }
        warnings.extend(state.exhaustion());
        if warnings.is_empty() { Finding::Pass } else { Finding::Warn(warnings.join("; ")) }
    }
}

impl PoolState {
    fn in_use(&self) -> u64 {
        self.size.saturating_sub(self.idle)
    }

    fn usage(&self) -> String {
        let (in_use, Self { idle, max, .. }) = (self.in_use(), self);
        let usage = format!("{in_use} of {max} connections in use, {idle} idle");
        match self.waiting {
            Some(waiting) => format!("{usage}, {waiting} callers waiting"),
            None => usage,
        }
    }

    fn exhaustion(&self) -> Option<String> {
        let (in_use, Self { size, idle, max, waiting }) = (self.in_use(), self);
        match waiting {
            Some(waiting @ 1..) => {
                Some(format!("{waiting} callers wait for a connection; {in_use} of {max} are in use"))
            }
            _ if *idle == 0 && size >= max => Some(format!("all {size} of {max} connections are in use")),
            _ => None,
        }
    }
}

//! Pools of connections.

use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tower::BoxError;

use super::words::causes;
use super::{Check, Finding, patience};
use crate::base::clock;
use crate::base::error::ConfigError;
use crate::base::outcome::within;

/// A pool of connections, to a database or to anything else.
///
/// Five short functions make a check of any pool: see `examples/postgres_health.rs` for that of `sqlx`.
///
/// # Example
/// ```
/// use campanile::health::{Check, Finding, Pool, PoolCheck};
///
/// struct Mine;
///
/// impl Pool for Mine {
///     type Error = std::io::Error;
///
///     fn size(&self) -> u64 {
///         10
///     }
///     fn idle(&self) -> u64 {
///         0
///     }
///     fn max(&self) -> u64 {
///         10
///     }
///     async fn query(&self) -> Result<(), Self::Error> {
///         Ok(()) // SELECT 1
///     }
/// }
///
/// # tokio_test::block_on(async {
/// let check = PoolCheck::new(Mine);
/// assert_eq!(check.check().await, Finding::Warn("all 10 of 10 connections are taken".to_owned()));
/// # });
/// ```
pub trait Pool: Send + Sync + 'static {
    /// Why a query fails. Health shows it, so that it should not tell secrets.
    type Error: Into<BoxError>;

    /// Connections that are open, taken or not.
    fn size(&self) -> u64;

    /// Connections that are open and not taken.
    fn idle(&self) -> u64;

    /// The most connections that there can be.
    fn max(&self) -> u64;

    /// Callers that wait for a connection, if the pool knows.
    fn waiting(&self) -> Option<u64> {
        None
    }

    /// Takes a connection and asks something cheap by it, such as `SELECT 1`. How long that takes is measured.
    fn query(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What a [`PoolCheck`] puts up with, as a file can hold it. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PoolCheckSettings {
    /// A query that takes longer, the wait for a connection included, is a warning: more than zero. Default 500 ms.
    #[serde(with = "crate::base::duration")]
    pub warn_after: Duration,
    /// A query that takes longer is a failure: no less than `warn_after`. Default 2 s.
    #[serde(with = "crate::base::duration")]
    pub fail_after: Duration,
    /// A query that takes longer is given up: no less than `fail_after` and at most an hour. Default 4 s, less than what
    /// [`Every`](super::Every) gives a run, so that what is told names how full the pool is.
    #[serde(with = "crate::base::duration")]
    pub timeout: Duration,
}

impl Default for PoolCheckSettings {
    fn default() -> Self {
        Self {
            warn_after: Duration::from_millis(500),
            fail_after: Duration::from_secs(2),
            timeout: patience::DEFAULT,
        }
    }
}

/// Makes a [`PoolCheck`]: see [`PoolCheck::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct PoolCheckBuilder<P> {
    pool: P,
    settings: PoolCheckSettings,
}

/// Queries a [`Pool`], and looks at how full it is.
///
/// A query that fails or takes too long is a failure. A pool whose connections are all taken, or for whose connections
/// somebody waits, is a warning: it works, and no more of it can be had.
#[derive(Clone, Debug)]
pub struct PoolCheck<P> {
    pool: P,
    settings: PoolCheckSettings,
}

/// How full a pool is.
struct Fill {
    size: u64,
    idle: u64,
    max: u64,
    waiting: Option<u64>,
}

impl<P: Pool> PoolCheck<P> {
    /// A check of `pool` with the settings that are usual.
    pub fn new(pool: P) -> Self {
        Self { pool, settings: PoolCheckSettings::default() }
    }

    /// A check of `pool`, to be set up.
    pub fn builder(pool: P) -> PoolCheckBuilder<P> {
        PoolCheckBuilder { pool, settings: PoolCheckSettings::default() }
    }
}

impl<P: Pool> Check for PoolCheck<P> {
    async fn check(&self) -> Finding {
        // Before the query, which takes a connection itself.
        let fill = Fill::of(&self.pool);
        let PoolCheckSettings { warn_after, fail_after, timeout: limit } = self.settings;
        let began = clock::now();
        match within(limit, self.pool.query()).await {
            Err(_) => {
                return Finding::Fail(format!("no query was answered within {limit:?}; {}", fill.figures()));
            }
            Ok(Err(error)) => {
                return Finding::Fail(format!(
                    "a query failed: {}; {}",
                    causes(error.into().as_ref()),
                    fill.figures()
                ));
            }
            Ok(Ok(())) => {}
        }
        let took = clock::now().since(began);
        if took > fail_after {
            return Finding::Fail(format!(
                "a query took {took:.1?}, more than {fail_after:?}; {}",
                fill.figures()
            ));
        }
        let mut amiss = Vec::new();
        if took > warn_after {
            amiss.push(format!("a query took {took:.1?}, more than {warn_after:?}"));
        }
        amiss.extend(fill.exhausted());
        if amiss.is_empty() { Finding::Pass } else { Finding::Warn(amiss.join("; ")) }
    }
}

impl Fill {
    fn of(pool: &impl Pool) -> Self {
        Self { size: pool.size(), idle: pool.idle(), max: pool.max(), waiting: pool.waiting() }
    }

    fn figures(&self) -> String {
        let Self { size, idle, max, waiting } = self;
        let taken = size.saturating_sub(*idle);
        match waiting {
            Some(waiting) => {
                format!(
                    "{taken} of {max} connections were taken, {idle} were idle, and {waiting} callers waited"
                )
            }
            None => format!("{taken} of {max} connections were taken, and {idle} were idle"),
        }
    }

    fn exhausted(&self) -> Option<String> {
        let Self { size, idle, max, waiting } = self;
        match waiting {
            Some(waiting @ 1..) => {
                let taken = size.saturating_sub(*idle);
                Some(format!("{waiting} callers wait for a connection, while {taken} of {max} are taken"))
            }
            _ if *idle == 0 && size >= max => Some(format!("all {size} of {max} connections are taken")),
            _ => None,
        }
    }
}

impl<P: Pool> PoolCheckBuilder<P> {
    setters! {
        /// Takes all settings from `settings`.
        pub fn settings(settings: PoolCheckSettings) { settings = settings; }
        /// A query that takes longer is a warning: 500 ms unless set.
        pub fn warn_after(limit: Duration) { settings.warn_after = limit; }
        /// A query that takes longer is a failure: 2 s unless set.
        pub fn fail_after(limit: Duration) { settings.fail_after = limit; }
        /// A query that takes longer is given up: 4 s unless set.
        pub fn timeout(limit: Duration) { settings.timeout = limit; }
    }

    /// The check.
    ///
    /// # Errors
    /// When the limits are not in order.
    pub fn build(self) -> Result<PoolCheck<P>, ConfigError> {
        let PoolCheckSettings { warn_after, fail_after, timeout } = self.settings;
        patience::validate(timeout)?;
        ConfigError::check(!warn_after.is_zero(), "warn_after", warn_after, "more than zero")?;
        ConfigError::check(warn_after <= fail_after, "fail_after", fail_after, "no less than `warn_after`")?;
        ConfigError::check(fail_after <= timeout, "timeout", timeout, "no less than `fail_after`")?;
        Ok(PoolCheck { pool: self.pool, settings: self.settings })
    }
}

//! Checks of connection pools.

use std::fmt;

use super::check_trait::Check;
use super::finding::Finding;
use super::pool_state::PoolState;
use super::run_scope::{measure, time_left};
use super::timeouts;
use crate::base::clock;
use crate::base::outcome::within;

/// Runs a query on a database and looks at how full its connection pool is.
///
/// It fails when the query fails, and when the query does not end in nine tenths of [`Every::timeout`]. It warns when the
/// pool is fully in use, or when callers wait for a connection. [`Every::warn_after`] and [`Every::fail_after`] limit how
/// long the query may take, the wait for a connection included.
///
/// Each run records the duration of the query as `db.client.operation.duration`. The state of the pool at the last run is
/// in `db.client.connection.count`, `.max` and `.pending_requests`; the name of the pool is that of the check.
///
/// [`Every::timeout`]: super::Every::timeout
/// [`Every::warn_after`]: super::Every::warn_after
/// [`Every::fail_after`]: super::Every::fail_after
///
/// # Example
/// ```
/// use campanile::health::{CheckOutcome, Every, Health, PoolCheck, PoolState};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), campanile::ConfigError> {
/// # #[derive(Clone)] struct MyPool;
/// # impl MyPool {
/// #     async fn ping(&self) -> Result<(), std::io::Error> { Ok(()) }
/// #     fn size(&self) -> u64 { 10 }
/// #     fn idle(&self) -> u64 { 0 }
/// # }
/// # let pool = MyPool;
/// let health = Health::standalone();
/// let state = {
///     let pool = pool.clone();
///     move || PoolState { size: pool.size(), idle: pool.idle(), max: 10, waiting: None }
/// };
/// let query = move || {
///     let pool = pool.clone();
///     async move { pool.ping().await } // SELECT 1
/// };
/// let check = PoolCheck::new(state, query).system("postgresql");
/// let check = health.check("orders-db", Every::seconds(15), check)?;
///
/// let report = check.run().await;
/// assert_eq!(report.outcome, CheckOutcome::Warn);
/// assert_eq!(report.message.as_deref(), Some("all 10 of 10 connections are in use"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PoolCheck<S, Q> {
    state: S,
    query: Q,
    system: &'static str,
}

impl<S, Q> PoolCheck<S, Q>
where
    S: Fn() -> PoolState + Send + Sync + 'static,
    Q: Check,
{
    /// Makes a check of the pool whose state `state` returns at once. `query` takes a connection and runs a cheap query on
    /// it, such as `SELECT 1`. Health shows its error, so it must not contain secrets.
    pub fn new(state: S, query: Q) -> Self {
        Self { state, query, system: "other_sql" }
    }

    setters! {
        /// Sets the database as the OpenTelemetry convention names it, such as `postgresql`, `mysql` or `redis`: the
        /// attribute `db.system.name`. Default: `other_sql`.
        #[must_use]
        pub fn system(name: &'static str) { system = name; }
    }
}

impl<S, Q> Check for PoolCheck<S, Q>
where
    S: Fn() -> PoolState + Send + Sync + 'static,
    Q: Check,
{
    async fn check(&self) -> Finding {
        // Before the query, which takes a connection itself.
        let state = (self.state)();
        measure(|measured| measured.pool(state));
        let limit = time_left().map_or(timeouts::DEFAULT, |left| left * 9 / 10);
        let began = clock::now();
        let found = within(limit, self.query.check()).await;
        let took = clock::now().since(began);
        let error = match &found {
            Ok(Finding::Fail(_)) => "_OTHER",
            Ok(_) => "",
            Err(_) => "timeout",
        };
        measure(|measured| measured.query(self.system, error, took));
        match found {
            Ok(Finding::Fail(reason)) => {
                Finding::Fail(format!("a query failed: {reason}; {}", state.usage()))
            }
            Ok(Finding::Pass) => state.exhaustion().map_or(Finding::Pass, Finding::Warn),
            Ok(Finding::Warn(warning)) => Finding::Warn(match state.exhaustion() {
                Some(exhausted) => format!("{warning}; {exhausted}"),
                None => warning,
            }),
            Err(_) => Finding::Fail(format!("a query did not end within {limit:.1?}; {}", state.usage())),
        }
    }
}

impl<S, Q> fmt::Debug for PoolCheck<S, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolCheck").field("system", &self.system).finish_non_exhaustive()
    }
}

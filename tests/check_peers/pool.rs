//! Connection pools.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use campanile::Telemetry;
use campanile::health::{CheckOutcome, Every, Finding, PoolCheck, PoolState};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tower::BoxError;

use crate::{find, why};

/// A pool whose connections are the permits of a semaphore.
#[derive(Clone)]
struct Permits {
    permits: Arc<Semaphore>,
    open: u64,
    waiting: Arc<AtomicU64>,
    /// The duration of a query in milliseconds, or [`FAILS`].
    query: Arc<AtomicU64>,
}

const FAILS: u64 = u64::MAX;

impl Permits {
    fn new(open: u64) -> Self {
        let permits = Arc::new(Semaphore::new(open as usize));
        Self { permits, open, waiting: Arc::default(), query: Arc::default() }
    }

    fn state(&self) -> PoolState {
        PoolState {
            size: self.open,
            idle: self.permits.available_permits() as u64,
            max: 4,
            waiting: Some(self.waiting.load(Ordering::SeqCst)),
        }
    }

    async fn query(&self) -> Result<(), BoxError> {
        let _permit = self.permits.acquire().await.map_err(|_| "the pool is closed")?;
        match self.query.load(Ordering::SeqCst) {
            FAILS => Err("no such table: two".into()),
            milliseconds => {
                sleep(Duration::from_millis(milliseconds)).await;
                Ok(())
            }
        }
    }

    fn check(&self) -> impl campanile::health::Check + use<> {
        let (of_state, of_query) = (self.clone(), self.clone());
        let query = move || {
            let pool = of_query.clone();
            async move { pool.query().await }
        };
        PoolCheck::new(move || of_state.state(), query).system("sqlite")
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_query_warns_then_fails_then_times_out_with_the_state_of_the_pool() {
    let pool = Permits::new(2);
    let telemetry = Telemetry::builder("test").variables(|_| None).build().unwrap();
    let ms = Duration::from_millis;
    let every = Every::seconds(3_600).jitter(0.0).timeout(ms(1_000)).warn_after(ms(100)).fail_after(ms(300));
    let check = telemetry.health().check("slow-db", every, pool.check()).unwrap();
    for (query, outcome, text) in [
        (0, CheckOutcome::Pass, ""),
        (100, CheckOutcome::Pass, ""),
        (150, CheckOutcome::Warn, "took 150.0ms, more than the 100ms of `warn_after`"),
        (500, CheckOutcome::Fail, "took 500.0ms, more than the 300ms of `fail_after`"),
        (2_000, CheckOutcome::Fail, "a query did not end within 900.0ms; 0 of 4 connections in use, 2 idle"),
        (FAILS, CheckOutcome::Fail, "a query failed: no such table: two; 0 of 4 connections in use, 2 idle"),
    ] {
        pool.query.store(query, Ordering::SeqCst);
        let report = check.run().await;
        let message = report.message.as_deref().unwrap_or_default();
        assert_eq!(report.outcome, outcome, "{query} ms: {message}");
        assert!(message.starts_with(text) && message.is_empty() == text.is_empty(), "{message}");
    }
    pool.permits.close();
    assert!(check.run().await.message.as_deref().unwrap().starts_with("a query failed: the pool is closed"));
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_pool_warns_and_says_how_full_it_is() {
    // A pool that can still grow is not exhausted.
    let growing = Permits::new(2);
    let held = growing.permits.clone().acquire_many_owned(2).await.unwrap();
    let check = growing.check();
    let full = why(find(&check).await);
    assert_eq!(full, "a query did not end within 4.0s; 2 of 4 connections in use, 0 idle, 0 callers waiting");
    drop(held);
    growing.waiting.store(3, Ordering::SeqCst);
    assert_eq!(
        find(&check).await,
        Finding::Warn("3 callers wait for a connection; 0 of 4 are in use".to_owned())
    );

    let full = Permits::new(4);
    let check = full.check();
    let held = full.permits.clone().acquire_many_owned(3).await.unwrap();
    assert_eq!(find(&check).await, Finding::Pass);
    let warning = full.clone();
    let warns = PoolCheck::new(
        move || PoolState { idle: 0, ..warning.state() },
        || async { Finding::Warn("the disk is nearly full".to_owned()) },
    );
    let warned = "the disk is nearly full; all 4 of 4 connections are in use";
    assert_eq!(find(&warns).await, Finding::Warn(warned.to_owned()));
    let last = full.permits.clone().acquire_owned().await.unwrap();
    let asked = tokio::spawn(async move { find(&check).await });
    // The check reads the state, and then waits for a connection.
    sleep(Duration::from_millis(10)).await;
    drop(last);
    assert_eq!(asked.await.unwrap(), Finding::Warn("all 4 of 4 connections are in use".to_owned()));
    drop(held);
}

#[cfg(feature = "prometheus")]
#[tokio::test(start_paused = true)]
async fn the_pool_and_its_queries_are_metrics_until_the_check_stops() {
    let pool = Permits::new(3);
    let telemetry = Telemetry::builder("test").variables(|_| None).prometheus().build().unwrap();
    let every = Every::seconds(3_600).jitter(0.0);
    let check = telemetry.health().check("measured-db", every, pool.check()).unwrap();
    let held = pool.permits.clone().acquire_owned().await.unwrap();
    pool.waiting.store(7, Ordering::SeqCst);
    check.run().await;
    let lines = || {
        let text = telemetry.prometheus_text();
        let own = |line: &&str| line.starts_with("db_client") && line.contains("measured-db");
        text.lines().filter(own).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let found = lines();
    for (name, state, value) in [
        ("db_client_connection{", "db_client_connection_state=\"idle\"", "2"),
        ("db_client_connection{", "db_client_connection_state=\"used\"", "1"),
        ("db_client_connection_max", "", "4"),
        ("db_client_connection_pending_requests", "", "7"),
    ] {
        let fits = |line: &&String| line.starts_with(name) && line.contains(state);
        let line = found.iter().find(fits).unwrap_or_else(|| panic!("{name} {state}: {found:?}"));
        assert_eq!(line.rsplit(' ').next(), Some(value), "{line}");
    }
    drop(held);
    check.stop();
    assert_eq!(lines(), [""; 0]);
}

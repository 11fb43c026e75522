//! Connection pools.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use campanile::health::{Finding, Pool, PoolCheck, PoolCheckSettings, PoolState};
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
}

impl Pool for Permits {
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
}

#[tokio::test(start_paused = true)]
async fn a_slow_query_warns_then_fails_then_times_out() {
    let pool = Permits::new(2);
    let check = PoolCheck::builder(pool.clone())
        .warn_after(Duration::from_millis(100))
        .fail_after(Duration::from_millis(300))
        .timeout(Duration::from_millis(900))
        .build()
        .unwrap();
    for milliseconds in [0, 99] {
        pool.query.store(milliseconds, Ordering::SeqCst);
        assert_eq!(find(&check).await, Finding::Pass, "{milliseconds}");
    }
    pool.query.store(150, Ordering::SeqCst);
    let Finding::Warn(slow) = find(&check).await else { panic!("no warning") };
    assert!(slow.starts_with("a query took 15") && slow.ends_with("ms, more than 100ms"), "{slow}");
    pool.query.store(500, Ordering::SeqCst);
    let slow = why(find(&check).await);
    assert!(slow.contains("more than 300ms; 0 of 4 connections in use, 2 idle, 0 callers waiting"), "{slow}");
    pool.query.store(2_000, Ordering::SeqCst);
    assert!(why(find(&check).await).starts_with("a query did not end within 900ms; 0 of 4"));
    pool.query.store(FAILS, Ordering::SeqCst);
    assert!(why(find(&check).await).starts_with("a query failed: no such table: two; 0 of 4"));
    pool.permits.close();
    assert!(why(find(&check).await).starts_with("a query failed: the pool is closed; "));
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_pool_warns_and_says_how_full_it_is() {
    // A pool that can still grow is not exhausted.
    let growing = Permits::new(2);
    let held = growing.permits.clone().acquire_many_owned(2).await.unwrap();
    let check = PoolCheck::builder(growing.clone()).build().unwrap();
    let full = why(find(&check).await);
    assert_eq!(full, "a query did not end within 4s; 2 of 4 connections in use, 0 idle, 0 callers waiting");
    drop(held);
    growing.waiting.store(3, Ordering::SeqCst);
    assert_eq!(
        find(&check).await,
        Finding::Warn("3 callers wait for a connection; 0 of 4 are in use".to_owned())
    );

    let full = Permits::new(4);
    let check = PoolCheck::builder(full.clone()).build().unwrap();
    let held = full.permits.clone().acquire_many_owned(3).await.unwrap();
    assert_eq!(find(&check).await, Finding::Pass);
    let last = full.permits.clone().acquire_owned().await.unwrap();
    let asked = tokio::spawn(async move { find(&check).await });
    // The check reads the state, and then waits for a connection.
    sleep(Duration::from_millis(10)).await;
    drop(last);
    assert_eq!(asked.await.unwrap(), Finding::Warn("all 4 of 4 connections are in use".to_owned()));
    drop(held);
}

#[test]
fn limits_must_be_in_ascending_order() {
    let build = |warn, fail, timeout| {
        let [warn, fail, timeout] = [warn, fail, timeout].map(Duration::from_millis);
        let built =
            PoolCheck::builder(Permits::new(1)).warn_after(warn).fail_after(fail).timeout(timeout).build();
        built.map(drop).map_err(|error| error.setting().to_owned())
    };
    assert_eq!(build(1, 1, 1), Ok(()));
    assert_eq!(build(0, 1, 1), Err("warn_after".to_owned()));
    assert_eq!(build(2, 1, 1), Err("fail_after".to_owned()));
    assert_eq!(build(1, 2, 1), Err("timeout".to_owned()));
    assert_eq!(build(1, 2, 10_000_000), Err("timeout".to_owned()));
    let settings: PoolCheckSettings = serde_json::from_str(r#"{"warn_after": "3s"}"#).unwrap();
    assert!(PoolCheck::from_settings(Permits::new(1), &settings).is_err());
    assert!(serde_json::from_str::<PoolCheckSettings>(r#"{"warn": "3s"}"#).is_err());
}

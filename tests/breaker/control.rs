//! What an operator can do: new settings while calls run, metrics only, every breaker by its name.

use std::future::pending;
use std::time::Duration;

use campanile::breaker::BreakerSettings;
use campanile::{CircuitBreaker, CircuitState, HalfOpen, Window};

use super::{OPEN_FOR, advance, breaker, builder, fail, fail_times, succeed};

#[tokio::test(start_paused = true)]
async fn metrics_only_counts_openings_and_refuses_no_call() {
    let breaker = breaker();
    breaker.metrics_only();
    fail_times(&breaker, 20).await;
    let snapshot = breaker.snapshot();
    assert_eq!(snapshot.state, CircuitState::MetricsOnly);
    assert_eq!((snapshot.calls, snapshot.failures), (10, 10), "the window counts on");
    assert_eq!(snapshot.totals.would_open, 1, "an outage is counted once");
    assert_eq!(snapshot.totals.rejected, 0);

    // The period in which it would be open ends, and another begins.
    for _ in 0..10 {
        assert!(succeed(&breaker).await);
    }
    fail_times(&breaker, 5).await;
    assert_eq!(breaker.snapshot().totals.would_open, 2);

    // As a normal circuit, the same calls open it.
    breaker.force_closed();
    fail_times(&breaker, 4).await;
    assert_eq!(breaker.state(), CircuitState::Open);
    assert_eq!(breaker.snapshot().totals.would_open, 2);
}

#[tokio::test(start_paused = true)]
async fn a_disabled_circuit_admits_every_call_and_does_not_change_the_window() {
    let breaker = breaker();
    breaker.disable();
    fail_times(&breaker, 20).await;
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, snapshot.calls), (CircuitState::Disabled, 0));
    assert_eq!(snapshot.totals.failures.iter().sum::<u64>(), 20);
    assert_eq!(snapshot.totals.would_open, 0);
}

#[tokio::test(start_paused = true)]
async fn new_settings_apply_from_the_next_call_in_every_layer() {
    let breaker = breaker();
    let other_handle = breaker.clone();
    fail_times(&breaker, 3).await;
    other_handle
        .reconfigure(BreakerSettings { minimum_calls: 2, window: Window::count(5), ..breaker.settings() })
        .unwrap();
    assert_eq!(breaker.settings().minimum_calls, 2);
    assert_eq!(breaker.snapshot().calls, 0, "the window begins anew");
    fail_times(&breaker, 1).await;
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail_times(&breaker, 1).await;
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn settings_out_of_range_change_nothing() {
    let breaker = breaker();
    let before = breaker.settings();
    let error = breaker.reconfigure(BreakerSettings { failure_rate: 0.0, ..before.clone() }).unwrap_err();
    assert_eq!(error.setting(), "failure_rate");
    assert_eq!(breaker.settings(), before);
    assert_eq!(breaker.snapshot().transitions, 0);
}

#[tokio::test(start_paused = true)]
async fn p03_a_call_that_began_under_old_settings_counts_in_the_totals_only() {
    let breaker = breaker();
    let before = {
        let breaker = breaker.clone();
        tokio::spawn(async move {
            breaker
                .call(async {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Err::<(), _>("late")
                })
                .await
        })
    };
    tokio::task::yield_now().await;
    breaker.reconfigure(BreakerSettings { consecutive_failures: Some(1), ..breaker.settings() }).unwrap();
    assert!(before.await.unwrap().is_err());
    assert_eq!((breaker.state(), breaker.snapshot().calls), (CircuitState::Closed, 0));
    assert!(fail(&breaker).await);
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn with_new_settings_an_open_circuit_keeps_its_wait_and_a_half_open_one_has_all_its_permits() {
    let breaker = breaker();
    fail_times(&breaker, 4).await;
    advance(OPEN_FOR / 2).await;
    let slow = Some(campanile::breaker::SlowCall { limit: Duration::from_secs(1), rate: 0.5 });
    breaker.reconfigure(BreakerSettings { slow_call: slow, ..breaker.settings() }).unwrap();
    assert_eq!(breaker.snapshot().next_probe_in, Some(OPEN_FOR / 2));
    advance(OPEN_FOR / 2).await;
    assert!(succeed(&breaker).await);

    let hanging = {
        let breaker = breaker.clone();
        tokio::spawn(async move { breaker.call(pending::<Result<(), &str>>()).await })
    };
    tokio::task::yield_now().await;
    assert!(!succeed(&breaker).await, "one probe has ended, the other hangs");
    let half_open = HalfOpen { permits: 1, ..breaker.settings().half_open };
    breaker.reconfigure(BreakerSettings { half_open, ..breaker.settings() }).unwrap();
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    assert!(succeed(&breaker).await);
    assert_eq!(breaker.state(), CircuitState::Closed);
    hanging.abort();
}

#[tokio::test(start_paused = true)]
async fn slow_calls_count_from_the_moment_they_are_configured() {
    let breaker = breaker();
    let slowly = || {
        breaker.call(async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok::<_, &str>(())
        })
    };
    for _ in 0..10 {
        slowly().await.unwrap();
    }
    assert_eq!(breaker.snapshot().slow_calls, 0);
    assert_eq!(breaker.snapshot().slow_call_limit, None);
    let slow = campanile::breaker::SlowCall { limit: Duration::from_secs(1), rate: 0.5 };
    breaker.reconfigure(BreakerSettings { slow_call: Some(slow), ..breaker.settings() }).unwrap();
    assert_eq!(breaker.snapshot().slow_call_limit, Some(slow.limit));
    for _ in 0..4 {
        slowly().await.unwrap();
    }
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[test]
fn every_breaker_is_found_by_its_name_as_long_as_it_is_held() {
    let find = || CircuitBreaker::named("found by its name");
    let first = CircuitBreaker::builder("found by its name").build().unwrap();
    let second = CircuitBreaker::builder("found by its name").build().unwrap();
    assert_eq!(find().len(), 2);
    find().iter().for_each(CircuitBreaker::force_open);
    assert_eq!((first.state(), second.state()), (CircuitState::ForcedOpen, CircuitState::ForcedOpen));
    assert!(CircuitBreaker::all().iter().any(|breaker| breaker.name() == "found by its name"));
    drop(first);
    let layer = second.layer();
    drop(second);
    assert_eq!(find().len(), 1, "a layer holds it");
    drop(layer);
    assert!(find().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_builder_starts_over_from_settings() {
    let settings = BreakerSettings { minimum_calls: 1, ..Default::default() };
    let breaker = builder().settings(settings.clone()).build().unwrap();
    assert_eq!(breaker.settings(), settings);
}

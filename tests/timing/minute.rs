//! The last minute of a handle, beside all its calls.

use std::time::Duration;

use campanile::timing::{LastMinute, Sketch};
use campanile::{FailureKind, Timing, TimingSnapshot};
use tower::{Layer, ServiceExt, service_fn};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Makes calls one after the other. Each takes `took`; one in `fails` fails.
async fn calls(timing: &Timing, count: usize, took: Duration, fails: usize) {
    let inner = service_fn(move |number: usize| async move {
        tokio::time::sleep(took).await;
        if fails > 0 && number.is_multiple_of(fails) { Err("no") } else { Ok(()) }
    });
    let service = timing.layer().layer(inner);
    for number in 0..count {
        let _ = service.clone().oneshot(number).await;
    }
}

fn is_about(found: Duration, expected: Duration) {
    let (found, expected) = (found.as_secs_f64(), expected.as_secs_f64());
    assert!((found - expected).abs() <= expected * Sketch::RELATIVE_ERROR, "{found} is not {expected}");
}

#[tokio::test(start_paused = true)]
async fn the_last_minute_shows_a_service_that_became_slow() {
    let timing = Timing::new("test");
    calls(&timing, 50_000, Duration::from_millis(20), 0).await;
    calls(&timing, 500, secs(1), 2).await;
    let all = timing.snapshot();
    is_about(all.p95, Duration::from_millis(20));
    assert!(all.success_rate.unwrap() > 0.99);
    let now = &all.last_minute;
    assert_eq!((now.calls, now.failed, now.success_rate), (60, 30, Some(0.5)));
    assert_eq!(now.failures[FailureKind::Error.index()], 30);
    assert_eq!(now.mean, secs(1));
    [now.p50, now.p95, now.p99].into_iter().for_each(|found| is_about(found, secs(1)));
    assert!((now.per_second - 1.0).abs() < 0.01, "{}", now.per_second);
}

#[tokio::test(start_paused = true)]
async fn older_calls_leave_the_last_minute_also_after_a_pause() {
    let timing = Timing::new("test");
    assert_eq!(timing.snapshot().last_minute, LastMinute::default());
    assert_eq!(timing.snapshot().success_rate, None);
    calls(&timing, 10, Duration::from_millis(100), 1).await;
    tokio::time::advance(secs(50)).await;
    assert_eq!((timing.snapshot().last_minute.calls, timing.snapshot().last_minute.failed), (10, 10));
    tokio::time::advance(secs(12)).await;
    let all = timing.snapshot();
    assert_eq!((all.calls, all.failed), (10, 10));
    assert_eq!(all.last_minute, LastMinute::default());
    tokio::time::advance(secs(100_000)).await;
    calls(&timing, 3, Duration::from_millis(400), 0).await;
    let now = timing.snapshot().last_minute;
    assert_eq!((now.calls, now.success_rate), (3, Some(1.0)));
    is_about(now.p99, Duration::from_millis(400));
}

#[tokio::test(start_paused = true)]
async fn minutes_of_two_handles_add_up_also_from_another_process() {
    let (one, other) = (Timing::new("one"), Timing::new("other"));
    calls(&one, 30, Duration::from_millis(100), 3).await;
    calls(&other, 10, secs(1), 0).await;
    let (one, other) = (one.snapshot(), other.snapshot());
    let json = serde_json::to_string(&other).unwrap();
    let read: TimingSnapshot = serde_json::from_str(&json).unwrap();
    assert_eq!(read, other);
    let mut both = one.clone();
    both.merge(&read);
    let (now, rate) = (&both.last_minute, one.last_minute.per_second + other.last_minute.per_second);
    assert_eq!((now.calls, now.failed, now.per_second), (40, 10, rate));
    is_about(now.p50, Duration::from_millis(100));
    is_about(now.p95, secs(1));
}

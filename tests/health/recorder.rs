//! Calls without a span.

use std::time::Duration;

use campanile::Telemetry;
use campanile::health::{Health, Recorder, Status};
use tokio::time::Instant;

const MILLI: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn calls_without_a_span_count_like_those_with_one() {
    let telemetry = Telemetry::builder("test").build().unwrap();
    for health in [Health::standalone(), telemetry.health()] {
        let recorder = health.recorder("recorded");
        assert!(health.snapshot().component("recorded").is_none(), "not called yet");
        // More calls than one thread buffers.
        for number in 1..=100_u32 {
            recorder.clone().record(number * MILLI, number % 4 == 0);
        }
        let started = Instant::now();
        tokio::time::advance(200 * MILLI).await;
        health.recorder("recorded").record_since(started, false);
        let calls = health.snapshot().component("recorded").unwrap().calls.clone().unwrap();
        assert_eq!((calls.total, calls.failed, calls.recent, calls.recent_failed), (101, 25, 101, 25));
        assert_eq!((calls.consecutive_failures, calls.min, calls.max), (0, MILLI, 200 * MILLI));
        assert_eq!((calls.mean, calls.recent_mean), (5_250 * MILLI / 101, 5_250 * MILLI / 101));
        let p95 = calls.p95.as_secs_f64();
        assert!((p95 - 0.096).abs() <= 0.096 / 32.0, "{p95}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorder_still_works_after_its_component_was_dropped() {
    let health = Health::standalone();
    let recorder = health.recorder("forgotten");
    let call = |recorder: &Recorder| (0..5).for_each(|_| recorder.record(MILLI, true));
    for _ in 0..3 {
        call(&recorder);
        let snapshot = health.snapshot();
        let found = snapshot.component("forgotten").unwrap();
        assert_eq!((found.status, found.calls.as_ref().unwrap().total), (Status::Critical, 5));
        tokio::time::advance(Duration::from_secs(3_700)).await;
        assert!(health.snapshot().component("forgotten").is_none());
        // The next call may still count for the dropped component; later calls do not.
        recorder.record(MILLI, true);
        tokio::time::advance(Duration::from_secs(3_700)).await;
        let _ = health.snapshot();
    }
    let kept: Recorder = recorder.clone();
    drop(health);
    call(&kept);
}

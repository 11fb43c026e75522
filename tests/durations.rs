//! The way of durations into the pipeline of the process; a binary of its own, for there is one pipeline.

#![cfg(feature = "prometheus")]

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use campanile::{Telemetry, Timing};
use tower::{Layer, ServiceExt, service_fn};

#[tokio::test]
async fn a_handle_made_before_the_pipeline_records_to_it_for_as_long_as_it_lives() {
    let timing = Timing::new("early");
    let service = timing.layer().layer(service_fn(|(): ()| ready(Ok::<_, Infallible>(()))));
    service.clone().oneshot(()).await.unwrap();
    let telemetry = Telemetry::builder("test").variables(|_| None).prometheus().install().unwrap();
    service.clone().oneshot(()).await.unwrap();
    service.clone().oneshot(()).await.unwrap();
    let text = telemetry.prometheus_text();
    let count = text.lines().find(|line| {
        line.starts_with("campanile_timing_duration_seconds_count") && line.contains("\"early\"")
    });
    assert_eq!(count.and_then(|line| line.rsplit(' ').next()), Some("2"), "{text}");
    telemetry.shutdown(Duration::from_secs(60));
    service.oneshot(()).await.unwrap();
    assert_eq!(timing.snapshot().calls, 4);
}

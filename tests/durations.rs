//! The way of durations into the pipeline of the process; a separate binary, because there is one pipeline per process.

#![cfg(feature = "prometheus")]

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use campanile::health::Every;
use campanile::{Telemetry, Timing};
use tower::{Layer, ServiceExt, service_fn};

#[tokio::test]
async fn handles_and_checks_made_before_the_pipeline_record_to_it() {
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
    let check =
        telemetry.health().check("early", Every::seconds(60), || ready(Err::<(), _>("gone"))).unwrap();
    let runs = check.run().await.runs;
    let text = telemetry.prometheus_text();
    let count =
        "campanile_health_check_duration_seconds_count{check=\"early\",component=\"early\",outcome=\"fail\"}";
    assert!(text.lines().any(|line| line == format!("{count} {runs}")), "{text}");
    telemetry.shutdown(Duration::from_secs(60));
    service.oneshot(()).await.unwrap();
    assert_eq!(timing.snapshot().calls, 4);
}

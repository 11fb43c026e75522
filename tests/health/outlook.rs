//! The prediction for a component.

use std::sync::Arc;
use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::health::{Health, HealthSettings, Outlook, PredictSettings, Recorder, VitalSign};
use tower::{ServiceBuilder, ServiceExt};

const ROUND: Duration = Duration::from_secs(10);

/// Records a hundred calls in each of `number` rounds.
async fn rounds(recorder: &Recorder, number: u32, each: Duration, failed: u32) {
    for _ in 0..number {
        (0..100).for_each(|call| recorder.record(each, call < failed));
        tokio::time::sleep(ROUND).await;
    }
}

fn outlook(health: &Health, component: &str) -> Arc<Outlook> {
    health
        .snapshot()
        .component(component)
        .and_then(|component| component.outlook.clone())
        .expect("an outlook")
}

#[tokio::test(start_paused = true)]
async fn a_service_that_slows_down_and_fails_is_an_anomaly() {
    let health = Health::standalone();
    let recorder = health.recorder("slowing");
    let usual = Duration::from_millis(20);
    rounds(&recorder, 30, usual, 0).await;
    let learning = outlook(&health, "slowing");
    assert!(learning.learning.is_some_and(|part| (0.3..0.6).contains(&part)), "{learning:?}");
    rounds(&recorder, 60, usual, 0).await;
    let known = outlook(&health, "slowing");
    assert_eq!((known.learning, known.risk, known.anomalies.len()), (None, 0.0, 0), "{known:?}");

    rounds(&recorder, 4, 4 * usual, 0).await;
    let slow = outlook(&health, "slowing");
    assert_eq!(slow.anomalies[0].sign, VitalSign::MeanDuration, "{slow:?}");
    assert!(slow.anomalies[0].z > 4.75 && (slow.anomalies[0].usual - 0.02).abs() < 0.001, "{slow:?}");

    rounds(&recorder, 4, 4 * usual, 50).await;
    let failing = outlook(&health, "slowing");
    let signs: Vec<_> = failing.reasons.iter().map(|reason| reason.sign).collect();
    assert_eq!(signs, [VitalSign::ErrorShare, VitalSign::MeanDuration], "{failing:?}");
    assert!(failing.risk > slow.risk);
    assert_eq!(failing.reasons.iter().map(|reason| reason.risk).sum::<f64>(), failing.risk);

    // Some minutes of usual calls end the anomaly.
    rounds(&recorder, 60, usual, 0).await;
    assert_eq!(outlook(&health, "slowing").risk, 0.0);
    let predict = PredictSettings { enabled: false, ..PredictSettings::default() };
    health.configure(HealthSettings { predict, ..HealthSettings::default() }).unwrap();
    tokio::time::sleep(2 * ROUND).await;
    assert!(health.snapshot().component("slowing").unwrap().outlook.is_none(), "prediction is disabled");
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_a_filling_queue_is_forecast() {
    let health = Health::standalone();
    let queue = DeadLetterQueue::in_memory(1_000).named("filling");
    let service = ServiceBuilder::new()
        .layer(queue.layer())
        .service_fn(|_: u32| async { Err::<(), tower::BoxError>("no".into()) });
    let mut forecast_at = None;
    for number in 0..99 {
        service.clone().oneshot(number).await.unwrap_err();
        tokio::time::sleep(2 * ROUND).await;
        let outlook = outlook(&health, "filling");
        if let Some(forecast) = outlook.forecasts.first() {
            forecast_at.get_or_insert(number);
            assert_eq!((forecast.sign, forecast.limit), (VitalSign::Letters, 100.0));
            assert!((forecast.per_minute - 3.0).abs() < 0.2, "{forecast:?}");
            let left = Duration::from_secs(20) * (99 - number);
            assert!(
                forecast.reaches_limit_in.abs_diff(left) < Duration::from_secs(90),
                "{forecast:?}, {left:?}"
            );
            assert!(
                outlook.risk > 0.0
                    && outlook.reasons.iter().any(|reason| reason.text.contains("limit of 100"))
            );
        }
    }
    assert!(forecast_at.is_some_and(|letters| letters <= 45), "{forecast_at:?}");
}

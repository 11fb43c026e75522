//! A flood of probes takes few snapshots and runs no check.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use campanile::health::{Component, Every, Health, HealthSettings};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::ServiceExt;

async fn get(service: &campanile::health::HealthService, path: &str) -> (StatusCode, Bytes) {
    let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
    let (head, body) = service.clone().oneshot(request).await.unwrap().into_parts();
    (head.status, body.collect().await.unwrap().to_bytes())
}

/// Answers that share their bytes were serialized once.
#[tokio::test(start_paused = true)]
async fn an_answer_is_serialized_once_per_snapshot() {
    let health = Health::standalone();
    let settings = HealthSettings { cached_for: Duration::from_secs(2), ..HealthSettings::default() };
    health.configure(settings).unwrap();
    health.register(Component::new("probed-often")).unwrap();
    let service = health.http_service().verbose(true);
    for path in ["/healthz", "/healthz?verbose", "/readyz?verbose"] {
        let mut answers = Vec::new();
        for _ in 0..20 {
            answers.push(get(&service, path).await.1);
            tokio::time::advance(Duration::from_millis(500)).await;
        }
        answers.dedup_by_key(|body| body.as_ptr());
        assert!((5..=6).contains(&answers.len()), "{path}: serialized {} times in 10 s", answers.len());
    }
    // A drain counts at once.
    let before = get(&service, "/readyz").await.0;
    health.drain();
    assert_eq!((before, get(&service, "/readyz").await.0), (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_are_consistent_while_components_change() {
    let health = Health::standalone();
    health.register(Component::new("changes-under-load").critical(true)).unwrap();
    let service = Arc::new(health.http_service());
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let service = Arc::clone(&service);
            tokio::spawn(async move {
                for _ in 0..2_500 {
                    let (code, body) = get(&service, "/readyz").await;
                    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
                    let passes = json["status"] == "pass";
                    assert_eq!(passes, code == StatusCode::OK, "{json}");
                }
            })
        })
        .collect();
    let breaker = campanile::CircuitBreaker::builder("changes-under-load").build().unwrap();
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        breaker.force_open();
        health.register(Component::new("changes-under-load").critical(true)).unwrap();
        tokio::task::yield_now().await;
        breaker.force_closed();
        health.register(Component::new("changes-under-load").critical(true)).unwrap();
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(get(&service, "/readyz").await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn p52_a_flood_runs_no_check_and_takes_few_snapshots() {
    let health = Health::standalone();
    health.register(Component::new("flooded-db").critical(true)).unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let every = Every::seconds(30).jitter(0.0);
    let check = health.check("flooded-db", every, move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async {}
    });
    check.unwrap().run().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let before = runs.load(Ordering::SeqCst);

    let service = health.http_service().verbose(true);
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let service = service.clone();
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for number in 0..1_000 {
                    assert_eq!(get(&service, "/readyz").await.0, StatusCode::OK);
                    // Kept alive, so that no two answers have the same address.
                    answers.push(get(&service, "/healthz?verbose").await.1);
                    if number % 100 == 99 {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                    }
                }
                answers
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.extend(task.await.unwrap());
    }
    let addresses: BTreeSet<_> = answers.iter().map(|body| body.as_ptr()).collect();
    assert_eq!((answers.len(), runs.load(Ordering::SeqCst)), (10_000, before), "no check ran");
    assert!(addresses.len() <= 6, "{} answers in five seconds, for one snapshot a second", addresses.len());
}

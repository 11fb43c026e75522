//! The start: gates, and what the probes answer until it is complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use campanile::health::{Component, Every, Finding, Health};
use http::StatusCode;
use serde_json::json;

use crate::probes::get_json;

#[tokio::test]
async fn a_process_without_gates_and_critical_checks_has_started() {
    let health = Health::standalone();
    assert!(health.readiness().starting.is_empty() && health.is_ready());
    assert_eq!(get_json(&health, "/startupz").await.0, StatusCode::OK);

    // A gate can still be added.
    let gate = health.starting("late-migrations");
    assert!(!health.is_ready());
    assert_eq!(get_json(&health, "/startupz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    gate.done();
    assert!(health.is_ready());
}

#[tokio::test]
async fn the_start_waits_for_all_gates_and_is_complete_for_good() {
    let health = Health::standalone();
    let (migrations, cache) = (health.starting("migrations"), health.starting("cache"));
    let (code, json) = get_json(&health, "/startupz").await;
    assert_eq!((code, &json["status"]), (StatusCode::SERVICE_UNAVAILABLE, &"fail".into()));
    assert_eq!(json["starting"], json!(["migrations", "cache"]));
    assert_eq!(json["output"], "still starting: `migrations`, `cache`");

    migrations.done();
    let (code, json) = get_json(&health, "/readyz").await;
    assert_eq!((code, &json["starting"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(["cache"])));
    assert_eq!(get_json(&health, "/livez").await.0, StatusCode::OK, "a starting process must not be killed");

    cache.done();
    for path in ["/startupz", "/readyz"] {
        assert_eq!(get_json(&health, path).await, (StatusCode::OK, json!({ "status": "pass" })));
    }
    let _late = health.starting("late");
    assert!(health.readiness().starting.is_empty() && health.is_ready(), "the start is complete for good");
}

#[tokio::test]
async fn a_dropped_gate_keeps_the_process_not_ready() {
    let health = Health::standalone();
    let (twin, other) = (health.starting("twin"), health.starting("twin"));
    let failed = async move {
        let _gate = twin;
        Err::<(), _>("no connection to the database")
    };
    assert!(failed.await.is_err());
    other.done();
    let readiness = health.readiness();
    assert_eq!((readiness.ready, readiness.starting), (false, vec!["twin".into()]));
}

#[tokio::test]
async fn a_failing_component_does_not_undo_the_start() {
    let health = Health::standalone();
    health.register(Component::new("fails-after-the-start").critical(true)).unwrap();
    health.starting("once").done();
    assert_eq!(get_json(&health, "/startupz").await.0, StatusCode::OK);
    let breaker = campanile::CircuitBreaker::builder("fails-after-the-start").build().unwrap();
    breaker.force_open();
    health.register(Component::new("fails-after-the-start").critical(true)).unwrap();
    assert_eq!(get_json(&health, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get_json(&health, "/startupz").await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn the_start_waits_for_every_check_of_a_critical_component_to_pass_once() {
    let health = Health::standalone();
    health.register(Component::new("started-db").critical(true)).unwrap();
    let passes = Arc::new(AtomicBool::new(false));
    let every = Every::seconds(10).jitter(0.0);
    let check = |passes: &Arc<AtomicBool>| {
        let passes = Arc::clone(passes);
        move || {
            let passes = passes.load(Ordering::SeqCst);
            async move { if passes { Finding::Pass } else { Finding::Fail("too early".to_owned()) } }
        }
    };
    let db = health.check("started-db", every, check(&passes)).unwrap();
    let pool = health.check_named("started-db", "pool", every, check(&passes)).unwrap();
    // The start does not wait for checks of other components.
    health.check("started-mail", every, std::future::pending::<()>).unwrap();

    let (code, json) = get_json(&health, "/startupz").await;
    assert_eq!(
        (code, &json["starting"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!(["started-db/pool", "started-db"]))
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(get_json(&health, "/startupz").await.0, StatusCode::SERVICE_UNAVAILABLE, "the checks failed");

    passes.store(true, Ordering::SeqCst);
    db.run().await;
    assert_eq!(get_json(&health, "/readyz").await.1["starting"], json!(["started-db/pool"]));
    pool.run().await;
    for path in ["/startupz", "/readyz"] {
        assert_eq!(get_json(&health, path).await.0, StatusCode::OK, "{path}");
    }
    passes.store(false, Ordering::SeqCst);
    db.run().await;
    assert_eq!(get_json(&health, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get_json(&health, "/startupz").await.0, StatusCode::OK, "the start is complete for good");
}

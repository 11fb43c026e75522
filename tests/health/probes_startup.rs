//! The start: gates, and what the probes say until it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use campanile::health::{Component, Every, Finding, Health};
use http::StatusCode;
use serde_json::json;

use crate::probes::get_json;

#[tokio::test]
async fn a_process_with_nothing_to_wait_for_has_started() {
    let health = Health::standalone();
    assert!(health.readiness().starting.is_empty() && health.is_ready());
    assert_eq!(get_json(&health, "/startupz").await.0, StatusCode::OK);

    // It is early: a gate still counts.
    let gate = health.starting("late-migrations");
    assert!(!health.is_ready());
    assert_eq!(get_json(&health, "/startupz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    gate.done();
    assert!(health.is_ready());
}

#[tokio::test]
async fn gates_hold_up_the_start_until_all_are_done_and_then_nothing_does() {
    let health = Health::standalone();
    let (migrations, cache) = (health.starting("migrations"), health.starting("cache"));
    let (code, json) = get_json(&health, "/startupz").await;
    assert_eq!((code, &json["status"]), (StatusCode::SERVICE_UNAVAILABLE, &"fail".into()));
    assert_eq!(json["starting"], json!(["migrations", "cache"]));
    assert_eq!(json["output"], "still starting: `migrations`, `cache`");

    migrations.done();
    let (code, json) = get_json(&health, "/readyz").await;
    assert_eq!((code, &json["starting"]), (StatusCode::SERVICE_UNAVAILABLE, &json!(["cache"])));
    assert_eq!(get_json(&health, "/livez").await.0, StatusCode::OK, "or it would be killed while it starts");

    cache.done();
    for path in ["/startupz", "/readyz"] {
        assert_eq!(get_json(&health, path).await, (StatusCode::OK, json!({ "status": "pass" })));
    }
    let _late = health.starting("late");
    assert!(health.readiness().starting.is_empty() && health.is_ready(), "once started, for good");
}

#[tokio::test]
async fn a_gate_that_is_dropped_stays_closed() {
    let health = Health::standalone();
    let (twin, other) = (health.starting("twin"), health.starting("twin"));
    let failed = async move {
        let _gate = twin;
        Err::<(), _>("the database is away")
    };
    assert!(failed.await.is_err());
    other.done();
    let readiness = health.readiness();
    assert_eq!((readiness.ready, readiness.starting), (false, vec!["twin".into()]));
}

#[tokio::test]
async fn a_component_that_fails_does_not_undo_the_start() {
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
    let well = Arc::new(AtomicBool::new(false));
    let every = Every::seconds(10).jitter(0.0);
    let when_well = |well: &Arc<AtomicBool>| {
        let well = Arc::clone(well);
        move || {
            let well = well.load(Ordering::SeqCst);
            async move { if well { Finding::Pass } else { Finding::Fail("too early".to_owned()) } }
        }
    };
    let db = health.check("started-db", every, when_well(&well)).unwrap();
    let pool = health.check_named("started-db", "pool", every, when_well(&well)).unwrap();
    // That of a component that is not critical is not waited for.
    health.check("started-mail", every, std::future::pending::<()>).unwrap();

    let (code, json) = get_json(&health, "/startupz").await;
    assert_eq!(
        (code, &json["starting"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!(["started-db/pool", "started-db"]))
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(get_json(&health, "/startupz").await.0, StatusCode::SERVICE_UNAVAILABLE, "it ran and failed");

    well.store(true, Ordering::SeqCst);
    db.run().await;
    assert_eq!(get_json(&health, "/readyz").await.1["starting"], json!(["started-db/pool"]));
    pool.run().await;
    for path in ["/startupz", "/readyz"] {
        assert_eq!(get_json(&health, path).await.0, StatusCode::OK, "{path}");
    }
    well.store(false, Ordering::SeqCst);
    db.run().await;
    assert_eq!(get_json(&health, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get_json(&health, "/startupz").await.0, StatusCode::OK, "once started, for good");
}

//! Checks of real servers decide readiness.

use std::time::Duration;

use campanile::health::{CheckOutcome, Component, Every, Health, HttpCheck, Status};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// An endpoint that answers after a delay, or never if that is `None`.
async fn endpoint(wait: watch::Receiver<Option<Duration>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let handler = axum::routing::get(async move || {
        let wait = *wait.borrow();
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => std::future::pending().await,
        }
        "ok"
    });
    let app = axum::Router::new().route("/", handler);
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn an_endpoint_that_slows_warns_then_fails_then_times_out() {
    let (wait, waits) = watch::channel(Some(Duration::ZERO));
    let url = endpoint(waits).await;
    let health = Health::standalone();
    health.register(Component::new("slowing-endpoint").critical(true)).unwrap();
    let check = HttpCheck::builder(&*url).timeout(Duration::from_secs(60)).build().unwrap();
    let every = Every::seconds(3_600).timeout(Duration::from_secs(4));
    let every = every.warn_after(Duration::from_millis(800)).fail_after(Duration::from_millis(1_800));
    let check = health.check("slowing-endpoint", every, check).unwrap();

    for (slow, outcome, status) in [
        (Some(0), CheckOutcome::Pass, Status::Healthy),
        (Some(1_000), CheckOutcome::Warn, Status::Degraded),
        (Some(2_000), CheckOutcome::Fail, Status::Unhealthy),
        (None, CheckOutcome::TimedOut, Status::Unhealthy),
        (Some(0), CheckOutcome::Pass, Status::Healthy),
    ] {
        wait.send_replace(slow.map(Duration::from_millis));
        let report = check.run().await;
        assert_eq!(report.outcome, outcome, "{slow:?}: {report:?}");
        let component = health.snapshot();
        let component = component.component("slowing-endpoint").unwrap();
        assert_eq!(component.status, status, "{slow:?}: {component:?}");
        let ready = health.readiness();
        assert_eq!(ready.ready, !outcome.is_failure(), "{slow:?}: {ready:?}");
    }
}

#[cfg(feature = "prometheus")]
#[tokio::test]
async fn responses_of_an_endpoint_are_counted_by_status() {
    let (answer, answers) = watch::channel(axum::http::StatusCode::OK);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let handler = axum::routing::get(move || std::future::ready(*answers.borrow()));
    let app = axum::Router::new().route("/", handler);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let telemetry = campanile::Telemetry::builder("test").variables(|_| None).prometheus().build().unwrap();
    let check = HttpCheck::builder(url).statuses([200, 204]).build().unwrap();
    let every = Every::seconds(3_600).jitter(0.0);
    let check = telemetry.health().check("counted-endpoint", every, check).unwrap();
    check.run().await;
    let before = check.report().runs;
    answer.send_replace(axum::http::StatusCode::BAD_GATEWAY);
    assert_eq!(check.run().await.outcome, CheckOutcome::Fail);
    assert_eq!(check.run().await.outcome, CheckOutcome::Fail);
    let text = telemetry.prometheus_text();
    for (status, responses) in [("200", before), ("502", 2)] {
        let line = text.lines().find(|line| {
            line.starts_with("campanile_health_check_responses_total")
                && line.contains("counted-endpoint")
                && line.contains(&format!("http_response_status_code=\"{status}\""))
        });
        assert_eq!(line.and_then(|line| line.rsplit(' ').next()), Some(&*responses.to_string()), "{text}");
    }
}

#[cfg(all(campanile_real_servers, feature = "full"))]
#[tokio::test]
async fn readiness_follows_a_redis_that_stops_and_starts() {
    use campanile::health::RedisCheck;

    use crate::support::redis::Redis;

    let mut redis = Redis::start().await;
    let health = Health::standalone();
    health.register(Component::new("stopped-redis").critical(true)).unwrap();
    let every = Every::seconds(3_600).failures(2);
    let check =
        health.check("stopped-redis", every, RedisCheck::builder(redis.url()).build().unwrap()).unwrap();
    assert_eq!(check.run().await.outcome, CheckOutcome::Pass);
    assert!(health.readiness().ready);

    redis.stop("TERM");
    let once = check.run().await;
    assert_eq!((once.outcome, once.last), (CheckOutcome::Pass, CheckOutcome::Fail));
    assert!(health.readiness().ready, "one failure is not enough");
    let twice = check.run().await;
    assert_eq!(twice.outcome, CheckOutcome::Fail);
    let message = twice.message.as_deref().unwrap();
    assert!(message.contains(&redis.address().to_string()), "{message}");
    let readiness = health.readiness();
    assert_eq!(&*readiness.missing[0].name, "stopped-redis");
    assert!(
        readiness.missing[0].reasons.iter().any(|reason| reason.text.contains("refused")),
        "{readiness:?}"
    );
    let snapshot = health.snapshot();
    let component = snapshot.component("stopped-redis").unwrap();
    assert!(component.status >= Status::Unhealthy, "{component:?}");

    redis.start_again().await;
    assert_eq!(check.run().await.outcome, CheckOutcome::Pass);
    assert!(health.readiness().ready);
}

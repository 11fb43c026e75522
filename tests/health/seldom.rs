//! Components that are called seldom, or never.

use std::time::Duration;

use campanile::Health;
use campanile::health::{Component, Every, HealthSettings, Recorder, Status};
use tokio::time::{Instant, sleep};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Health with a critical component called `name`, and who counts its calls.
fn critical(name: &str) -> (Health, Recorder) {
    let health = Health::standalone();
    health.register(Component::new(name).critical(true)).unwrap();
    let calls = health.recorder(name);
    (health, calls)
}

/// How often readiness changes within `time`, while `call` is made at its moments, each told whether it is ready.
async fn changes(health: &Health, time: Duration, mut call: impl FnMut(Duration, bool)) -> u32 {
    let (began, mut last, mut changes) = (Instant::now(), health.is_ready(), 0);
    while began.elapsed() < time {
        call(began.elapsed(), health.is_ready());
        sleep(seconds(1)).await;
        let ready = health.is_ready();
        changes += u32::from(ready != last);
        last = ready;
    }
    changes
}

fn every(seconds: u64) -> impl Fn(Duration) -> bool {
    move |now| now.as_secs().is_multiple_of(seconds)
}

#[tokio::test(start_paused = true)]
async fn one_failing_call_every_90_s_is_no_flapping() {
    for gap in [61, 90, 150, 240, 300] {
        let name = format!("seldom-{gap}");
        let (health, calls) = critical(&name);
        let due = every(gap);
        // As if it had failed for long.
        (0..20).for_each(|_| calls.record(seconds(1), true));
        let changes = changes(&health, seconds(1_800), |now, _| {
            if due(now) {
                calls.record(seconds(1), true);
            }
        })
        .await;
        // At first nothing is known of the gap: it gets ready now and then, and each time less soon.
        assert!(changes <= 2 * (gap as u32 / 60) + 1, "every {gap} s: {changes}");
        // In the long run there is no change at all.
        let later = self::changes(&health, seconds(3_600), |now, _| {
            if due(now) {
                calls.record(seconds(1), true);
            }
        })
        .await;
        assert!(later <= 1 && !health.is_ready(), "every {gap} s: {later}");
        let missing = &health.readiness().missing[0];
        assert!(missing.reasons[0].text.contains("calls failed"), "{missing:?}");
        // A success ends it.
        calls.record(seconds(1), false);
        sleep(seconds(1)).await;
        assert!(health.is_ready(), "every {gap} s");
    }
}

#[tokio::test(start_paused = true)]
async fn bursts_that_fail_in_part_are_no_flapping() {
    let (health, calls) = critical("in-bursts");
    let due = every(90);
    let burst = |now: Duration, _| {
        if due(now) {
            (0..10).for_each(|call| calls.record(Duration::from_millis(5), call % 5 != 4));
        }
    };
    let changes = changes(&health, seconds(1_800), burst).await;
    assert!(changes <= 5, "{changes}");
    let snapshot = health.snapshot();
    let component = snapshot.component("in-bursts").unwrap();
    assert!(component.status >= Status::Unhealthy);
    let lost: f64 = component.reasons.iter().map(|reason| reason.cost).sum();
    assert_eq!(lost, 1.0 - component.score);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_gets_no_calls_because_it_is_not_ready_gets_ready_again() {
    let (health, calls) = critical("unready");
    // The first time within a minute, and however often it failed before within six.
    for (round, within) in [61, 121, 181, 241, 301, 361, 361, 361].into_iter().enumerate() {
        for _ in 0..10 {
            (0..3).for_each(|_| calls.record(Duration::from_millis(5), true));
            sleep(Duration::from_millis(100)).await;
        }
        assert!(!health.is_ready(), "round {round}");
        let began = Instant::now();
        while !health.is_ready() {
            sleep(Duration::from_millis(500)).await;
        }
        assert!(began.elapsed() <= seconds(within + 6), "round {round}: {:?}", began.elapsed());
    }
    // Ten minutes without a failure, and it is quick again.
    sleep(seconds(600)).await;
    (0..30).for_each(|_| calls.record(Duration::from_millis(5), true));
    sleep(seconds(2)).await;
    assert!(!health.is_ready());
    sleep(seconds(70)).await;
    assert!(health.is_ready());
}

#[tokio::test(start_paused = true)]
async fn calls_that_work_end_what_those_before_them_left() {
    let (health, calls) = critical("works-again");
    for _ in 0..3 {
        (0..30).for_each(|_| calls.record(Duration::from_millis(5), true));
        sleep(seconds(2)).await;
        assert!(!health.is_ready());
        while !health.is_ready() {
            sleep(seconds(1)).await;
        }
    }
    (0..30).for_each(|_| calls.record(Duration::from_millis(5), true));
    sleep(seconds(75)).await;
    assert!(!health.is_ready(), "the failures have left the minute, and it stands");
    // Fewer than are judged, with a failure among them, say nothing.
    [false, false, true].into_iter().for_each(|failed| calls.record(Duration::from_millis(5), failed));
    sleep(seconds(2)).await;
    assert!(!health.is_ready());
    (0..20).for_each(|_| calls.record(Duration::from_millis(5), false));
    sleep(seconds(2)).await;
    assert_eq!(health.snapshot().component("works-again").unwrap().status, Status::Healthy);
    assert!(health.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_critical_component_that_was_never_called_is_missing_while_what_it_needs_fails() {
    let health = Health::standalone();
    let settings = HealthSettings { cached_for: Duration::ZERO, ..HealthSettings::default() };
    health.configure(settings).unwrap();
    health.register(Component::new("never-shop").critical(true).depends_on("never-payments")).unwrap();
    health.register(Component::new("never-payments").depends_on("never-db")).unwrap();
    assert!(health.is_ready(), "a new process gets its first request");
    let away = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let asked = std::sync::Arc::clone(&away);
    let check = move || {
        let away = asked.load(std::sync::atomic::Ordering::Relaxed);
        std::future::ready(if away { Err("connection refused") } else { Ok(()) })
    };
    let check = health.check("never-db", Every::seconds(30), check).unwrap();
    check.run().await;

    let snapshot = health.snapshot();
    assert_eq!(snapshot.component("never-shop").unwrap().status, Status::Unknown);
    assert_eq!((snapshot.status, snapshot.root_causes.len()), (Status::Unhealthy, 1));
    let readiness = health.readiness();
    assert!(!readiness.ready && !health.is_ready());
    let [missing] = readiness.missing.as_slice() else { panic!("{readiness:?}") };
    assert_eq!((&*missing.name, missing.status), ("never-shop", Status::Unknown));
    assert_eq!(missing.because_of.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["never-db"]);
    #[cfg(feature = "http")]
    {
        let (code, json) = crate::probes::get_json(&health, "/readyz?verbose").await;
        assert_eq!(code, http::StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(json["output"], "`never-shop` is unknown (because of `never-db`)");
        assert_eq!(
            crate::probes::get_json(&health, "/healthz").await.0,
            http::StatusCode::SERVICE_UNAVAILABLE
        );
    }
    // What is known of the one between speaks for it: it works without.
    let payments = health.recorder("never-payments");
    (0..20).for_each(|_| payments.record(Duration::from_millis(5), false));
    assert!(health.is_ready());
    sleep(seconds(70)).await;
    assert!(!health.is_ready());
    // And so does what is known of itself.
    let shop = health.recorder("never-shop");
    (0..20).for_each(|_| shop.record(Duration::from_millis(5), false));
    assert!(health.is_ready());
    sleep(seconds(70)).await;
    assert!(!health.is_ready());
    // It gets ready again without a call.
    away.store(false, std::sync::atomic::Ordering::Relaxed);
    check.run().await;
    assert!(health.is_ready() && health.snapshot().status == Status::Healthy);
    // A dependency that is only degraded is none that fails.
    let db = health.recorder("never-db");
    (0..20).for_each(|_| db.record(seconds(6), false));
    assert_eq!(health.snapshot().component("never-db").unwrap().status, Status::Degraded);
    assert!(health.is_ready());
}

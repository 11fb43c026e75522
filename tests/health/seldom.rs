//! Components that are called rarely or never.

use std::time::Duration;

use campanile::Health;
use campanile::health::{Component, Every, HealthSettings, Recorder, Status};
use tokio::time::{Instant, sleep};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Health with a critical component called `name`, and a recorder of its calls.
fn critical(name: &str) -> (Health, Recorder) {
    let health = Health::standalone();
    health.register(Component::new(name).critical(true)).unwrap();
    let calls = health.recorder(name);
    (health, calls)
}

/// How often readiness changes within `time`. Once a second, `call` gets the time and whether the process is ready.
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
async fn rare_failing_calls_do_not_make_readiness_flap() {
    for gap in [61, 90, 150, 240, 300] {
        let name = format!("seldom-{gap}");
        let (health, calls) = critical(&name);
        let due = every(gap);
        // It has failed before.
        (0..20).for_each(|_| calls.record(seconds(1), true));
        let changes = changes(&health, seconds(1_800), |now, _| {
            if due(now) {
                calls.record(seconds(1), true);
            }
        })
        .await;
        // At first it gets ready between calls, later each time.
        assert!(changes <= 2 * (gap as u32 / 60) + 1, "every {gap} s: {changes}");
        // In the long run there are no changes.
        let later = self::changes(&health, seconds(3_600), |now, _| {
            if due(now) {
                calls.record(seconds(1), true);
            }
        })
        .await;
        assert!(later <= 1 && !health.is_ready(), "every {gap} s: {later}");
        let missing = &health.readiness().missing[0];
        assert!(missing.reasons[0].text.contains("calls failed"), "{missing:?}");
        // A success ends the failure.
        calls.record(seconds(1), false);
        sleep(seconds(1)).await;
        assert!(health.is_ready(), "every {gap} s");
    }
}

#[tokio::test(start_paused = true)]
async fn bursts_that_fail_in_part_do_not_make_readiness_flap() {
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
async fn a_process_without_calls_gets_ready_again() {
    let (health, calls) = critical("unready");
    // The first time within a minute, and within six after any number of relapses.
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
    // After ten minutes without a failure, the next one is not a relapse.
    sleep(seconds(600)).await;
    (0..30).for_each(|_| calls.record(Duration::from_millis(5), true));
    sleep(seconds(2)).await;
    assert!(!health.is_ready());
    sleep(seconds(70)).await;
    assert!(health.is_ready());
}

#[tokio::test(start_paused = true)]
async fn successful_calls_end_a_held_failure() {
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
    assert!(!health.is_ready(), "the failures are older than a minute, and the verdict is held");
    // Fewer calls than are judged, with a failure among them, do not refute it.
    [false, false, true].into_iter().for_each(|failed| calls.record(Duration::from_millis(5), failed));
    sleep(seconds(2)).await;
    assert!(!health.is_ready());
    (0..20).for_each(|_| calls.record(Duration::from_millis(5), false));
    sleep(seconds(2)).await;
    assert_eq!(health.snapshot().component("works-again").unwrap().status, Status::Healthy);
    assert!(health.is_ready());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_critical_component_is_missing_while_its_dependency_fails() {
    let health = Health::standalone();
    let settings = HealthSettings { cached_for: Duration::ZERO, ..HealthSettings::default() };
    health.configure(settings).unwrap();
    health.register(Component::new("never-shop").critical(true).depends_on("never-payments")).unwrap();
    health.register(Component::new("never-payments").depends_on("never-db")).unwrap();
    assert!(health.is_ready(), "a new process gets its first request");
    let refuses = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let current = std::sync::Arc::clone(&refuses);
    let check = move || {
        let refuses = current.load(std::sync::atomic::Ordering::Relaxed);
        std::future::ready(if refuses { Err("connection refused") } else { Ok(()) })
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
    // Successful calls of the component between show that it works without the dependency.
    let payments = health.recorder("never-payments");
    (0..20).for_each(|_| payments.record(Duration::from_millis(5), false));
    assert!(health.is_ready());
    sleep(seconds(70)).await;
    assert!(!health.is_ready());
    // Successful calls of the component itself show the same.
    let shop = health.recorder("never-shop");
    (0..20).for_each(|_| shop.record(Duration::from_millis(5), false));
    assert!(health.is_ready());
    sleep(seconds(70)).await;
    assert!(!health.is_ready());
    // It gets ready again without a call.
    refuses.store(false, std::sync::atomic::Ordering::Relaxed);
    check.run().await;
    assert!(health.is_ready() && health.snapshot().status == Status::Healthy);
    // A degraded dependency does not count as failing.
    let db = health.recorder("never-db");
    (0..20).for_each(|_| db.record(seconds(6), false));
    assert_eq!(health.snapshot().component("never-db").unwrap().status, Status::Degraded);
    assert!(health.is_ready());
}

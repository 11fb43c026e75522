//! What is seen of checks: readiness, metrics, events; and what is seen when a check blocks its thread.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use campanile::health::{CheckOutcome, Component, Every, Finding, Health, HealthSettings};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// A check that finds what stands there at the time.
fn found(finding: &Arc<Mutex<Finding>>) -> impl Fn() -> std::future::Ready<Finding> + Send + Sync + 'static {
    let finding = Arc::clone(finding);
    move || std::future::ready(finding.lock().unwrap().clone())
}

#[tokio::test(start_paused = true)]
async fn p52_readiness_follows_a_check_of_a_critical_component_at_once() {
    let health = Health::standalone();
    let settings = HealthSettings { cached_for: Duration::from_secs(60), ..HealthSettings::default() };
    health.configure(settings).unwrap();
    health.register(Component::new("followed").critical(true)).unwrap();
    let finding = Arc::new(Mutex::new(Finding::Pass));
    let check =
        health.check("followed", Every::seconds(10).jitter(0.0).failures(2), found(&finding)).unwrap();
    let other = Arc::new(Mutex::new(Finding::Fail("gone".to_owned())));
    let other = health.check("not-critical", Every::seconds(10), found(&other)).unwrap();
    assert_eq!(other.run().await.outcome, CheckOutcome::Fail);
    assert!(health.readiness().ready);
    *finding.lock().unwrap() = Finding::Fail("refused".to_owned());
    check.run().await;
    assert!(health.readiness().ready, "once is not often enough");
    check.run().await;
    let readiness = health.readiness();
    assert!(!readiness.ready);
    assert_eq!(&*readiness.missing[0].component, "followed");
    assert!(readiness.missing[0].reasons[0].contains("refused"), "{readiness:?}");
    *finding.lock().unwrap() = Finding::Pass;
    check.run().await;
    assert!(health.readiness().ready);
    *finding.lock().unwrap() = Finding::Fail("refused".to_owned());
    check.run().await;
    check.run().await;
    assert!(!health.readiness().ready);
    check.stop();
    assert!(health.readiness().ready, "what is not asked any more fails nobody");
}

#[cfg(feature = "prometheus")]
#[tokio::test(start_paused = true)]
async fn checks_are_metrics_too() {
    let telemetry = campanile::Telemetry::builder("test").prometheus().build().unwrap();
    let health = telemetry.health();
    let finding = Arc::new(Mutex::new(Finding::Pass));
    let check =
        health.check_named("metered", "ping", Every::seconds(3_600).jitter(0.0), found(&finding)).unwrap();
    let pending = health.check("metered", Every::seconds(3_600).timeout(Duration::from_secs(3_600)), || {
        std::future::pending::<()>()
    });
    let passing = "campanile_health_check_passing_ratio{check=\"ping\",component=\"metered\"}";
    check.run().await;
    check.run().await;
    let text = telemetry.prometheus_text();
    assert!(text.contains(&format!("{passing} 1")), "{text}");
    *finding.lock().unwrap() = Finding::Fail("gone".to_owned());
    check.run().await;
    let text = telemetry.prometheus_text();
    for line in [
        format!("{passing} 0"),
        "campanile_health_check_runs_total{check=\"ping\",component=\"metered\",outcome=\"pass\"} 2"
            .to_owned(),
        "campanile_health_check_runs_total{check=\"ping\",component=\"metered\",outcome=\"fail\"} 1"
            .to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("check=\"metered\""), "nothing is known of that one:\n{text}");
    drop(pending);
    check.stop();
    assert!(!telemetry.prometheus_text().contains(passing), "what is stopped is not told");
}

/// Keeps the messages of the checks of one component.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Told {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Words(String);
        impl tracing::field::Visit for Words {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!(" {}={value:?}", field.name());
            }
        }
        if event.metadata().target() == "campanile::health" {
            let mut words = Words(event.metadata().level().to_string());
            event.record(&mut words);
            self.0.lock().unwrap().push(words.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_an_event_and_a_run_is_none() {
    let told = Told::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(told.clone()));
    let health = Health::standalone();
    let finding = Arc::new(Mutex::new(Finding::Pass));
    let check = health.check("told", Every::seconds(10).failures(2), found(&finding)).unwrap();
    let fail = Finding::Fail("gone".to_owned());
    let warn = Finding::Warn("full".to_owned());
    for (finds, expected) in [
        (Finding::Pass, None),
        (fail.clone(), None),
        (
            fail.clone(),
            Some(
                "WARN message=\"a check fails\" component=\"told\" check=\"told\" outcome=\"fail\" failures=2 why=\"gone\"",
            ),
        ),
        (fail, None),
        (warn.clone(), Some("INFO message=\"a check passes again\"")),
        (warn.clone(), None),
        (Finding::Pass, Some("INFO message=\"a check warns no more\"")),
        (warn, Some("WARN message=\"a check warns\"")),
    ] {
        *finding.lock().unwrap() = finds;
        check.run().await;
        let told = std::mem::take(&mut *told.0.lock().unwrap());
        let found = told.iter().map(|line| line.replace(" message=a", " message=\"a")).collect::<Vec<_>>();
        match expected {
            None => assert!(told.is_empty(), "{told:?}"),
            Some(expected) => {
                assert_eq!(found.len(), 1, "{found:?}");
                let words = expected.replace('"', "");
                assert!(found[0].replace('"', "").starts_with(&words), "{found:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn p51_a_check_that_blocks_its_thread_is_told_and_stops_no_other() {
    let health = Health::standalone();
    let (release, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let blocking = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        // One that got as far as this while another is here would wait for the lock.
        let released = wait.lock().unwrap().recv();
        async move { released.map_err(|error| error.to_string()) }
    };
    let every = Every::seconds(3_600).jitter(0.0).timeout(Duration::from_millis(50));
    let blocked = health.check("p51-blocking", every, blocking).unwrap();
    let (ran, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let every = Every::interval(Duration::from_millis(5)).jitter(0.0);
    let others: Vec<_> = (0..4)
        .map(|number| {
            let ran = ran.clone();
            let other = move || std::future::ready(ran.send(number).map_err(|error| error.to_string()));
            health.check(format!("p51-beside-{number}"), every, other).unwrap()
        })
        .collect();
    let report = blocked.run().await;
    assert_eq!(report.outcome, CheckOutcome::TimedOut);
    assert_eq!(report.message.as_deref(), Some("no answer within 50ms"));
    while seen.try_recv().is_ok() {}
    let mut left = [10_u32; 4];
    while left.iter().any(|left| *left > 0) {
        let number: usize = seen.recv().await.unwrap();
        left[number] = left[number].saturating_sub(1);
    }
    let report = blocked.run().await;
    let message = report.message.as_deref().unwrap_or_default();
    assert!(message.ends_with("still blocks its thread"), "{message}");
    assert_eq!((report.failures_in_a_row, runs.load(Ordering::SeqCst)), (2, 1), "it overlaps itself");
    release.send(()).unwrap();
    release.send(()).unwrap();
    assert_eq!(blocked.run().await.outcome, CheckOutcome::Pass);
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert!(others.iter().all(|other| other.report().outcome == CheckOutcome::Pass));
}

#[test]
fn p51_a_check_that_blocks_the_only_thread_of_its_runtime_is_missed() {
    let health = Health::standalone();
    let (release, wait) = mpsc::channel::<()>();
    let (begins, begun) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let blocking = move || {
        begins.send(()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        std::future::ready(())
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let of_thread = health.clone();
    let (hand_over, handle) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        runtime().block_on(async {
            let every = Every::seconds(30).jitter(0.0).timeout(Duration::from_secs(2));
            let check = of_thread.check("p51-alone", every, blocking).unwrap();
            hand_over.send(check.clone()).unwrap();
            check.run().await
        })
    });
    let check = handle.recv().unwrap();
    begun.recv().unwrap();
    assert_eq!(check.report().outcome, CheckOutcome::Pending);
    let later =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    later.block_on(async {
        tokio::time::sleep(Duration::from_secs(40)).await;
        let report = check.report();
        assert_eq!((report.outcome, report.failures_in_a_row, report.runs), (CheckOutcome::TimedOut, 2, 0));
        assert!(report.message.as_deref().unwrap().starts_with("no result, 3"), "{report:?}");
        assert_eq!(health.snapshot().component("p51-alone").unwrap().reasons.len(), 1);
    });
    release.send(()).unwrap();
    assert_eq!(thread.join().unwrap().runs, 1);
}

//! Checks in readiness, metrics and log lines.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::health::{CheckOutcome, Component, Every, Finding, Health, HealthSettings};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// A check that returns the finding that is set at the time.
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
    assert!(health.readiness().ready, "one failure is not enough");
    check.run().await;
    let readiness = health.readiness();
    assert!(!readiness.ready);
    assert_eq!(&*readiness.missing[0].name, "followed");
    assert!(readiness.missing[0].reasons[0].text.contains("refused"), "{readiness:?}");
    *finding.lock().unwrap() = Finding::Pass;
    check.run().await;
    assert!(health.readiness().ready);
    *finding.lock().unwrap() = Finding::Fail("refused".to_owned());
    check.run().await;
    check.run().await;
    assert!(!health.readiness().ready);
    check.stop();
    assert!(health.readiness().ready, "a stopped check does not count");
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
    assert!(!text.contains("check=\"metered\""), "that check has no result:\n{text}");
    drop(pending);
    check.stop();
    assert!(!telemetry.prometheus_text().contains(passing), "a stopped check has no metrics");
}

/// Collects the log lines of health.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Logged {
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

#[cfg(feature = "http")]
#[test]
fn a_secret_header_to_another_machine_without_tls_is_logged() {
    use campanile::health::HttpCheck;

    let logged = Logged::default();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(logged.clone()), || {
        for (url, header) in [
            ("http://search.internal:9200/", "authorization"),
            ("http://search.internal:9200/", "accept"),
            ("http://localhost:9200/", "authorization"),
            ("http://[::1]:9200/", "x-api-key"),
        ] {
            HttpCheck::builder(url).header(header, "hunter2").build().unwrap();
        }
    });
    let logged = logged.0.lock().unwrap();
    let [one] = &logged[..] else { panic!("{logged:?}") };
    assert!(one.contains("header=\"authorization\"") && one.contains("search.internal"), "{one}");
    assert!(!one.contains("hunter2"), "{one}");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_outcome_is_logged_and_a_run_is_not() {
    let logged = Logged::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(logged.clone()));
    let health = Health::standalone();
    let finding = Arc::new(Mutex::new(Finding::Pass));
    let check = health.check("logged", Every::seconds(10).failures(2), found(&finding)).unwrap();
    let fail = Finding::Fail("gone".to_owned());
    let warn = Finding::Warn("full".to_owned());
    for (finds, expected) in [
        (Finding::Pass, None),
        (fail.clone(), None),
        (
            fail.clone(),
            Some(
                "WARN message=\"a check fails\" component=\"logged\" check=\"logged\" outcome=\"fail\" failures=2 why=\"gone\"",
            ),
        ),
        (fail, None),
        (warn.clone(), Some("INFO message=\"a check passes again\"")),
        (warn.clone(), None),
        (Finding::Pass, Some("INFO message=\"a check no longer warns\"")),
        (warn, Some("WARN message=\"a check warns\"")),
    ] {
        *finding.lock().unwrap() = finds;
        check.run().await;
        let logged = std::mem::take(&mut *logged.0.lock().unwrap());
        let found = logged.iter().map(|line| line.replace(" message=a", " message=\"a")).collect::<Vec<_>>();
        match expected {
            None => assert!(logged.is_empty(), "{logged:?}"),
            Some(expected) => {
                assert_eq!(found.len(), 1, "{found:?}");
                let words = expected.replace('"', "");
                assert!(found[0].replace('"', "").starts_with(&words), "{found:?}");
            }
        }
    }
}

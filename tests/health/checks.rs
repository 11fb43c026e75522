//! Checks: their schedule, their independence of each other, and the number of results that change an outcome.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::health::{CheckOutcome, Component, Every, Finding, Health, ServiceCheck};
use campanile::outcome::ByResult;
use campanile::redact::RedactionSettings;
use tokio::time::{Instant, sleep};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Every ten seconds, without jitter.
fn exactly() -> Every {
    Every::seconds(10).jitter(0.0).timeout(seconds(2))
}

/// A check with these results; the last one repeats.
fn scripted(answers: impl IntoIterator<Item = Finding>) -> impl Fn() -> std::future::Ready<Finding> {
    let answers: Mutex<Vec<Finding>> = Mutex::new(answers.into_iter().collect());
    move || {
        let mut answers = answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        std::future::ready(answer)
    }
}

fn fail() -> Finding {
    Finding::Fail("gone".to_owned())
}

fn warn() -> Finding {
    Finding::Warn("full".to_owned())
}

#[tokio::test(start_paused = true)]
async fn p51_hanging_and_panicking_checks_are_reported_and_the_others_run_on_time_concurrently() {
    const CHECKS: usize = 200;
    let health = Health::standalone();
    for component in 0..1_000 {
        health.register(Component::new(format!("p51-{component}"))).unwrap();
    }
    let began = Instant::now();
    let times: Arc<Vec<Mutex<Vec<Duration>>>> = Arc::new((0..CHECKS).map(|_| Mutex::default()).collect());
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for number in 0..CHECKS {
        let (times, running, most) = (Arc::clone(&times), Arc::clone(&running), Arc::clone(&most));
        let check = move || {
            let (times, running, most) = (Arc::clone(&times), Arc::clone(&running), Arc::clone(&most));
            async move {
                times[number].lock().unwrap().push(began.elapsed());
                match number % 10 {
                    3 => pending().await,
                    7 => panic!("on purpose"),
                    _ => {}
                }
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                sleep(seconds(1)).await;
                running.fetch_sub(1, Ordering::SeqCst);
            }
        };
        health.check(format!("p51-{number}"), exactly(), check).unwrap();
    }
    sleep(seconds(55)).await;
    let reports = health.check_reports();
    assert_eq!(reports.len(), CHECKS);
    for report in reports {
        let number: usize = report.component["p51-".len()..].parse().unwrap();
        let times = times[number].lock().unwrap().clone();
        assert_eq!(times, (0..6).map(|run| seconds(10 * run)).collect::<Vec<_>>(), "{number}");
        let (outcome, took, message) = match number % 10 {
            3 => (CheckOutcome::TimedOut, seconds(2), Some("no answer within 2s")),
            7 => (CheckOutcome::Panicked, Duration::ZERO, Some("on purpose")),
            _ => (CheckOutcome::Pass, seconds(1), None),
        };
        assert_eq!((report.last, report.outcome), (outcome, outcome), "{number}");
        assert_eq!((report.took, report.message.as_deref(), report.runs), (took, message, 6), "{number}");
    }
    assert_eq!(most.load(Ordering::SeqCst), CHECKS * 8 / 10, "all checks run at once");
    assert_eq!(running.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn p51_a_check_that_panics_before_it_returns_a_future_is_reported() {
    let health = Health::standalone();
    let broken = || -> std::future::Ready<()> { panic!("{} on purpose", "early") };
    let check = health.check("p51-early", exactly(), broken).unwrap();
    let report = check.run().await;
    assert_eq!(report.outcome, CheckOutcome::Panicked);
    assert_eq!(report.message.as_deref(), Some("early on purpose"));
    assert_eq!(check.run().await.runs, 2, "the check runs again");
}

#[tokio::test(start_paused = true)]
async fn jitter_spreads_the_first_runs_and_each_check_keeps_its_interval() {
    let health = Health::standalone();
    let began = Instant::now();
    let times: Arc<Vec<Mutex<Vec<Duration>>>> = Arc::new((0..100).map(|_| Mutex::default()).collect());
    for number in 0..100 {
        let times = Arc::clone(&times);
        let check = move || {
            times[number].lock().unwrap().push(began.elapsed());
            std::future::ready(())
        };
        health.check(format!("spread-{number}"), Every::seconds(60).jitter(0.5), check).unwrap();
    }
    sleep(seconds(400)).await;
    let mut firsts = Vec::new();
    for times in times.iter() {
        let times = times.lock().unwrap();
        firsts.push(times[0]);
        assert!(times[0] <= Duration::from_millis(2_001), "{:?}", times[0]);
        assert!((seconds(60)..seconds(91)).contains(&times[1]), "{:?}", times[1]);
        for pair in times[1..].windows(2) {
            let apart = pair[1] - pair[0];
            assert!(apart.abs_diff(seconds(60)) <= Duration::from_millis(1), "{apart:?}");
        }
    }
    firsts.sort();
    firsts.dedup();
    assert!(firsts.len() > 80, "{} moments for 100 checks", firsts.len());
}

#[tokio::test(start_paused = true)]
async fn a_late_run_causes_no_burst() {
    let health = Health::standalone();
    let began = Instant::now();
    let times: Arc<Mutex<Vec<u64>>> = Arc::default();
    let seen = Arc::clone(&times);
    let slow_once = move || {
        let first = {
            let mut seen = seen.lock().unwrap();
            seen.push(began.elapsed().as_secs());
            seen.len() == 1
        };
        async move { sleep(seconds(if first { 35 } else { 0 })).await }
    };
    health.check("late", exactly().timeout(seconds(60)), slow_once).unwrap();
    sleep(seconds(65)).await;
    assert_eq!(*times.lock().unwrap(), [0, 40, 50, 60]);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_changes_after_enough_results_in_a_row() {
    use CheckOutcome::{Fail, Pass, Pending, Warn};
    let health = Health::standalone();
    let answers = [fail(), fail(), warn(), Finding::Pass, fail(), fail(), fail(), Finding::Pass]
        .into_iter()
        .chain([fail(), Finding::Pass, warn(), Finding::Pass]);
    let every = exactly().failures(3).successes(2);
    let check = health.check("thresholds", every, scripted(answers)).unwrap();
    assert_eq!((check.report().outcome, check.report().at), (Pending, None));
    for (run, (last, outcome, failures)) in [
        (Fail, Pending, 1),
        (Fail, Pending, 2),
        (Warn, Warn, 0),
        (Pass, Pass, 0),
        (Fail, Pass, 1),
        (Fail, Pass, 2),
        (Fail, Fail, 3),
        (Pass, Fail, 0),
        (Fail, Fail, 1),
        (Pass, Fail, 0),
        (Warn, Warn, 0),
        (Pass, Pass, 0),
    ]
    .into_iter()
    .enumerate()
    {
        let report = check.run().await;
        let seen = (report.last, report.outcome, report.failures_in_a_row, report.passed_once);
        assert_eq!(seen, (last, outcome, failures, run >= 2), "run {run}");
        assert!(report.at.is_some() && report.runs == run as u64 + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn requested_runs_join_the_current_one_and_do_not_move_the_schedule() {
    let health = Health::standalone();
    let began = Instant::now();
    let times: Arc<Mutex<Vec<u64>>> = Arc::default();
    let seen = Arc::clone(&times);
    let slow = move || {
        seen.lock().unwrap().push(began.elapsed().as_secs());
        sleep(seconds(1))
    };
    let check = health.check("joined", exactly(), slow).unwrap();
    let runs: Vec<_> = (0..50)
        .map(|_| {
            tokio::spawn({
                let check = check.clone();
                async move { check.run().await.runs }
            })
        })
        .collect();
    for run in runs {
        assert_eq!(run.await.unwrap(), 1);
    }
    sleep(seconds(2)).await;
    // A requested run between two scheduled ones, whose caller does not wait to the end.
    assert!(tokio::time::timeout(Duration::from_millis(500), check.run()).await.is_err());
    assert_eq!(health.run_check("joined").await[0].runs, 2);
    assert_eq!(health.run_checks().await[0].runs, 3);
    assert!(health.run_check("another").await.is_empty());
    sleep(seconds(17)).await;
    assert_eq!(*times.lock().unwrap(), [0, 3, 4, 10, 20]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_check_ends_at_once_and_is_removed() {
    let health = Health::standalone();
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let hanging = move || {
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            pending::<()>().await
        }
    };
    let check = health.check("stopped", exactly().timeout(seconds(3_600)), hanging).unwrap();
    let waiting = tokio::spawn({
        let check = check.clone();
        async move { check.run().await }
    });
    sleep(seconds(5)).await;
    assert_eq!(Arc::strong_count(&alive), 3);
    check.stop();
    let report = waiting.await.unwrap();
    assert_eq!((report.last, report.runs), (CheckOutcome::TimedOut, 0));
    sleep(seconds(1)).await;
    assert_eq!(Arc::strong_count(&alive), 1, "the check and its run are dropped");
    assert!(health.check_reports().is_empty());
    assert_eq!(check.run().await.runs, 0, "a later call returns too");

    // The name is free, and the old handle does not stop the new check.
    let again = health.check("stopped", exactly(), || async {}).unwrap();
    check.stop();
    assert_eq!(again.run().await.outcome, CheckOutcome::Pass);
    assert_eq!(health.check_reports().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_health_ends_its_checks() {
    let health = Health::standalone();
    let alive = Arc::new(());
    let held = [(); 2].map(|()| Arc::clone(&alive));
    let [idle, hanging] = held;
    let idle = health.check_named("dropped", "idle", exactly(), move || {
        let _ = &idle;
        async {}
    });
    let hanging = health.check_named("dropped", "hanging", exactly(), move || {
        let _ = &hanging;
        pending::<()>()
    });
    sleep(seconds(1)).await;
    health.drain();
    assert_eq!(health.check_reports().len(), 2, "checks go on while the process drains");
    drop(health);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(Arc::strong_count(&alive), 1);
    assert_eq!(idle.unwrap().run().await.last, CheckOutcome::TimedOut);
    hanging.unwrap().stop();
}

#[test]
fn a_check_whose_runtime_has_ended_times_out() {
    let health = Health::standalone();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let error = health.check("without-runtime", exactly(), || async {}).unwrap_err();
    assert!(error.to_string().contains("Tokio runtime"), "{error}");
    let first = runtime();
    let check = first.block_on(async {
        let check = health.check("without-runtime", exactly(), || async {}).unwrap();
        assert_eq!(check.run().await.outcome, CheckOutcome::Pass);
        check
    });
    drop(first);
    assert_eq!(check.report().outcome, CheckOutcome::Pass, "not yet");
    let paused =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    paused.block_on(async {
        assert_eq!(
            check.run().await.last,
            CheckOutcome::TimedOut,
            "a call does not wait for a run that never comes"
        );
        sleep(seconds(14)).await;
        let report = check.report();
        assert_eq!((report.outcome, report.runs), (CheckOutcome::TimedOut, 1));
        let message = report.message.as_deref().unwrap_or_default();
        assert!(message.starts_with("no result") && message.contains("runtime"), "{message}");
    });
}

#[tokio::test(start_paused = true)]
async fn invalid_settings_are_refused() {
    let health = Health::standalone();
    let add = |component: &str, name: &str, every| {
        health.check_named(component, name, every, || async {}).map(drop).map_err(|error| error.to_string())
    };
    add("db", "db", exactly()).unwrap();
    add("db", "pool", exactly()).unwrap();
    for (component, name, every, expected) in [
        ("db", "db", exactly(), "setting `check.db` cannot be registered twice"),
        ("db", "pool", exactly(), "setting `check.db.pool` cannot be registered twice"),
        ("", "x", exactly(), "setting `check.component` cannot be \"\""),
        ("x", "", exactly(), "setting `check.name` cannot be \"\""),
        ("x", "x", Every::seconds(0), "setting `check.x.every.interval` cannot be 0ns"),
        ("x", "x", exactly().jitter(2.0), "setting `check.x.every.jitter` cannot be 2.0"),
        ("x", "x", exactly().failures(0), "setting `check.x.every.failures` cannot be 0"),
    ] {
        let error = add(component, name, every).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    (0..1_022).for_each(|number| add("many", &number.to_string(), exactly()).unwrap());
    let error = add("many", "one-more", exactly()).unwrap_err();
    assert!(error.contains("at most 1024 checks"), "{error}");
    assert_eq!(health.check_reports().len(), 1_024);
}

#[tokio::test(start_paused = true)]
async fn snapshots_do_not_run_checks() {
    let health = Health::standalone();
    let began = Instant::now();
    let times: Arc<Mutex<Vec<u64>>> = Arc::default();
    let seen = Arc::clone(&times);
    let check = move || {
        seen.lock().unwrap().push(began.elapsed().as_secs());
        std::future::ready(())
    };
    health.check("flooded", exactly(), check).unwrap();
    for _ in 0..250 {
        for _ in 0..20 {
            let _ = (health.snapshot(), health.readiness(), health.check_reports());
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(*times.lock().unwrap(), [0, 10, 20]);
}

#[tokio::test(start_paused = true)]
async fn messages_are_short_and_without_secrets() {
    let health = Health::standalone();
    let long = format!("postgres://ann:hunter2@db/orders does not answer: {}", "é".repeat(5_000));
    let check = health.check("secretive", exactly(), scripted([Finding::Fail(long)])).unwrap();
    let message = check.run().await.message.clone().unwrap();
    assert!(message.starts_with("postgres://[redacted]@db/orders"), "{message}");
    assert!(message.len() <= 520 && message.ends_with("é…"), "{}", message.len());
}

#[tokio::test(start_paused = true)]
async fn messages_are_redacted_as_the_pipeline_redacts() {
    let redaction = RedactionSettings::default().mask(["room"]).leave(["password"]);
    let telemetry = campanile::Telemetry::builder("test").redaction(redaction).build().unwrap();
    let warns = || std::future::ready(Finding::Warn("room=17 password=hunter2".to_owned()));
    for (health, expected) in [
        (telemetry.health(), "room=[redacted] password=hunter2"),
        (Health::standalone(), "room=17 password=[redacted]"),
    ] {
        let check = health.check("redacted", exactly(), warns).unwrap();
        assert_eq!(check.run().await.message.as_deref(), Some(expected));
    }
}

/// A message is searched for secrets before it is cut: a secret that is cut in two would not be recognised.
#[tokio::test(start_paused = true)]
async fn a_secret_in_an_error_that_is_cut_is_not_shown() {
    for before in 200..240 {
        let error = format!("{}4111111111111111 {}", "x ".repeat(before / 2), "y ".repeat(300));
        let health = Health::standalone();
        let away = tower::service_fn(move |()| {
            let error = std::io::Error::other(error.clone());
            async { Err::<(), _>(error) }
        });
        let asked = ServiceCheck::new(away, || (), ByResult);
        let message = health.check("cut", exactly(), asked).unwrap().run().await.message.clone().unwrap();
        assert!(!message.contains("4111"), "{before}: {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn any_check_can_have_limits_for_its_duration() {
    let health = Health::standalone();
    let took = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&took);
    let check = move || sleep(Duration::from_millis(asked.load(Ordering::SeqCst) as u64));
    let every = exactly().warn_after(Duration::from_millis(100)).fail_after(Duration::from_millis(500));
    let check = health.check("limited", every, check).unwrap();
    for (millis, outcome) in [
        (100, CheckOutcome::Pass),
        (101, CheckOutcome::Warn),
        (501, CheckOutcome::Fail),
        (2_500, CheckOutcome::TimedOut),
        (0, CheckOutcome::Pass),
    ] {
        took.store(millis, Ordering::SeqCst);
        let report = check.run().await;
        assert_eq!(report.outcome, outcome, "{millis} ms: {:?}", report.message);
        assert_eq!(report.took, Duration::from_millis(millis.min(2_000) as u64));
    }
}

#[test]
fn results_convert_into_findings() {
    let found = |result: Result<(), &str>| Finding::from(result);
    assert_eq!(found(Ok(())), Finding::Pass);
    assert_eq!(found(Err("no")), Finding::Fail("no".to_owned()));
    assert_eq!(Finding::from(Ok::<_, std::io::Error>(warn())), warn());
}

/// A check may call through a circuit. A call that the check's timeout ends counts as a timeout there.
#[tokio::test(start_paused = true)]
async fn p07_a_check_that_times_out_is_a_timeout_to_the_circuits_it_calls() {
    use campanile::health::FirstOf;
    use campanile::{CircuitBreaker, FailureKind};

    let health = Health::standalone();
    let (alone, first) = (
        CircuitBreaker::builder("p07-alone").build().unwrap(),
        CircuitBreaker::builder("p07-first").build().unwrap(),
    );
    let hangs = |breaker: &CircuitBreaker| {
        let breaker = breaker.clone();
        move || {
            let breaker = breaker.clone();
            async move { breaker.call(pending::<Result<(), std::io::Error>>()).await }
        }
    };
    let every = exactly().timeout(Duration::from_millis(500));
    let check = health.check("p07-a", every, hangs(&alone)).unwrap();
    let one_of = FirstOf::new("primary", hangs(&first)).or("replica", || async { Ok::<_, String>(()) });
    let others = health.check("p07-b", every, one_of).unwrap();
    assert_eq!(check.run().await.outcome, CheckOutcome::TimedOut);
    assert_eq!(others.run().await.outcome, CheckOutcome::Warn);
    sleep(Duration::from_millis(1)).await;
    for breaker in [alone, first] {
        let totals = breaker.snapshot().totals;
        assert!(totals.failures[FailureKind::Timeout.index()] >= 1, "{totals:?}");
        assert_eq!((totals.ignored, totals.failures[FailureKind::Cancelled.index()]), (0, 0));
    }
}

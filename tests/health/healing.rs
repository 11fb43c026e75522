//! Healing: when an action starts, which limits it has, and its records.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use campanile::dead_letter::Redrive;
use campanile::health::{
    Action, Component, Every, Finding, Healing, HealingHandle, HealingLimits, HealingOutcome,
    HealingSettings, Health, ReasonKind, Status, When, Withheld,
};
use campanile::redact::RedactionSettings;
use campanile::{Backoff, CircuitBreaker, CircuitState, DeadLetterQueue};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tracing_subscriber::prelude::*;

const ROUND: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3_600);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A condition that the test sets.
#[derive(Clone, Default)]
struct Ill(Arc<AtomicBool>);

impl Ill {
    fn yes() -> Self {
        let ill = Self::default();
        ill.set(true);
        ill
    }

    fn set(&self, ill: bool) {
        self.0.store(ill, Ordering::Relaxed);
    }

    fn when(&self) -> When {
        let ill = self.clone();
        When::custom(move |_| ill.0.load(Ordering::Relaxed))
    }

    /// An action that ends the condition, if it `helps`.
    fn cure(&self, helps: bool) -> Action {
        let ill = self.clone();
        Action::new(move || {
            let ill = ill.clone();
            async move { ill.set(ill.0.load(Ordering::Relaxed) && !helps) }
        })
    }
}

/// A health with a component called `name`.
fn health(name: &str) -> Health {
    let health = Health::standalone();
    health.register(Component::new(name)).unwrap();
    health
}

/// A short backoff without jitter.
fn backoff() -> Backoff {
    Backoff::constant(seconds(60))
}

fn settings(change: impl FnOnce(&mut HealingSettings)) -> HealingSettings {
    let mut settings = HealingSettings::default();
    change(&mut settings);
    settings
}

/// Panics when it is awaited.
async fn breaks(with: impl Any + Send) {
    panic_any(with)
}

fn outcomes(handle: &HealingHandle) -> Vec<HealingOutcome> {
    handle.records().iter().map(|record| record.outcome.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn p53_a_condition_that_holds_long_enough_starts_an_action_that_is_recorded() {
    let health = health("worker");
    let ill = Ill::default();
    let healing =
        Healing::new("restart", "worker").when(ill.when().for_at_least(seconds(30))).action(ill.cure(true));
    let handle = health.heal(healing).unwrap();
    sleep(seconds(60)).await;
    ill.set(true);
    sleep(seconds(25)).await;
    ill.set(false);
    sleep(seconds(15)).await;
    ill.set(true);
    sleep(seconds(39)).await;
    assert!(
        handle.status().called_for && handle.records().is_empty(),
        "the condition did not hold in between"
    );
    sleep(seconds(20)).await;
    let records = handle.records();
    let [record] = &*records else { panic!("{records:?}") };
    assert_eq!(record.outcome, HealingOutcome::Helped);
    assert_eq!((&*record.healing, &*record.component, record.number), ("restart", "worker", 1));
    assert_eq!((record.status, record.status_after), (Status::Unknown, Some(Status::Unknown)));
    assert_eq!((record.took, record.took_in_all), (Duration::ZERO, seconds(10)));
    assert!(!record.by_hand && record.exit_code.is_none());
    let status = handle.status();
    assert!(!status.called_for && !status.running && !status.paused);
    assert_eq!((status.begun_in_the_last_hour, status.not_helped_in_a_row), (1, 0));
    assert_eq!(health.healings(), records);
}

#[tokio::test(start_paused = true)]
async fn a_record_has_the_cause_and_the_status_of_the_component() {
    let health = Health::standalone();
    let breaker = CircuitBreaker::builder("recorded-cause").build().unwrap();
    breaker.force_open();
    let closer = breaker.clone();
    let close = Action::new(move || {
        closer.force_closed();
        async { Finding::Warn("it was open".to_owned()) }
    });
    let healing = Healing::new("close", "recorded-cause").when(When::status_at_least(Status::Unhealthy));
    let handle = health.heal(healing.action(close)).unwrap();
    sleep(seconds(25)).await;
    let json = serde_json::to_value(handle.records()).unwrap();
    let record = &json[0];
    assert_eq!(record["cause"], serde_json::json!(["an operator forced the circuit open"]));
    assert_eq!((&record["status"], &record["status_after"]), (&"unhealthy".into(), &"unknown".into()));
    assert_eq!((&record["outcome"], &record["output"]), (&"helped".into(), &"it was open".into()));
    assert_eq!((&record["number"], &record["took_in_all"]), (&1.into(), &10.0.into()));
    assert!(record["began"].is_u64() && record["exit_code"].is_null(), "{record}");
}

#[tokio::test(start_paused = true)]
async fn p53_the_backoff_grows_while_actions_do_not_help() {
    let health = health("hopeless");
    let ill = Ill::yes();
    let began = Arc::new(Mutex::new(Vec::new()));
    let begins = Arc::clone(&began);
    let start = Instant::now();
    let useless = Action::new(move || {
        begins.lock().unwrap().push(start.elapsed().as_secs());
        async { Err::<(), _>("no") }
    });
    let wait = Backoff::exponential(seconds(60), seconds(3_000)).jitter(campanile::Jitter::None);
    let settings = settings(|settings| settings.well_after = seconds(600));
    let healing = Healing::new("restart", "hopeless")
        .when(ill.when())
        .action(useless)
        .settings(settings)
        .at_most_per_hour(60)
        .backoff(wait);
    let handle = health.heal(healing).unwrap();
    sleep(seconds(1_005)).await;
    assert_eq!(*began.lock().unwrap(), [0, 60, 180, 420, 900]);
    assert_eq!(handle.status().may_begin_in, seconds(855));
    assert_eq!(handle.status().withheld, Some(Withheld::Backoff));
    assert_eq!(outcomes(&handle), vec![HealingOutcome::Failed("no".to_owned()); 5]);

    // Well, but not for long enough: the backoff is not reset.
    ill.set(false);
    sleep(seconds(500)).await;
    ill.set(true);
    sleep(seconds(1_500)).await;
    assert_eq!(began.lock().unwrap()[5..], [1_860]);
    ill.set(false);
    sleep(seconds(700)).await;
    assert_eq!(handle.status().may_begin_in, Duration::ZERO);
    began.lock().unwrap().clear();
    ill.set(true);
    sleep(seconds(100)).await;
    assert_eq!(*began.lock().unwrap(), [3_710, 3_770], "well for long enough: the backoff is reset");
}

#[tokio::test(start_paused = true)]
async fn p53_a_healing_that_does_not_help_escalates_once() {
    let health = health("beyond-help");
    let ill = Ill::yes();
    let (escalated, escalations) = mpsc::channel();
    let healing = Healing::new("restart", "beyond-help")
        .when(ill.when())
        .action(ill.cure(false))
        .settings(settings(|settings| {
            settings.verify_within = seconds(10);
            settings.well_after = seconds(120);
            settings.escalate_after = 2;
        }))
        .at_most_per_hour(30)
        .backoff(backoff())
        .escalate(move |record| {
            escalated.send(record.number).unwrap();
            async { panic!("an escalation may panic too") }
        });
    let handle = health.heal(healing).unwrap();
    sleep(seconds(1_000)).await;
    assert!(handle.records().len() > 5 && handle.status().escalated);
    assert_eq!(escalations.try_iter().collect::<Vec<_>>(), [2]);
    assert_eq!(handle.records()[1].outcome, HealingOutcome::DidNotHelp);
    ill.set(false);
    sleep(seconds(200)).await;
    assert!(!handle.status().escalated && handle.status().not_helped_in_a_row == 0);
    let before = handle.records().len() as u64;
    ill.set(true);
    sleep(seconds(1_000)).await;
    assert_eq!(escalations.try_iter().collect::<Vec<_>>(), [before + 2], "it was well in between");
}

#[tokio::test(start_paused = true)]
async fn p53_a_component_that_fails_again_and_again_uses_up_the_limit_per_hour_and_escalates() {
    let health = health("flapping");
    let ill = Ill::yes();
    let (escalated, escalations) = mpsc::channel();
    let healing = Healing::new("restart", "flapping")
        .when(ill.when())
        .action(ill.cure(true))
        .backoff(backoff())
        .at_most_per_hour(4)
        .escalate(move |record| {
            escalated.send(record.number).unwrap();
            async {}
        });
    let handle = health.heal(healing).unwrap();
    let start = Instant::now();
    while start.elapsed() < HOUR - seconds(100) {
        sleep(seconds(95)).await;
        ill.set(true);
    }
    assert_eq!(outcomes(&handle), vec![HealingOutcome::Helped; 4]);
    assert_eq!(handle.status().withheld, Some(Withheld::HourlyLimit));
    assert_eq!(escalations.try_iter().collect::<Vec<_>>(), [4]);
    sleep(seconds(120)).await;
    assert_eq!(handle.records().len(), 5, "the hour is a rolling window");
}

#[tokio::test(start_paused = true)]
async fn p53_a_dependent_component_is_not_healed_before_its_cause() {
    let health = Health::standalone();
    health.register(Component::new("heal-shop").depends_on("heal-db")).unwrap();
    let breakers = ["heal-shop", "heal-db"].map(|name| CircuitBreaker::builder(name).build().unwrap());
    breakers.iter().for_each(CircuitBreaker::force_open);
    let heal = |name: &'static str, breaker: &CircuitBreaker, forced: bool| {
        let breaker = breaker.clone();
        let close = Action::new(move || {
            breaker.force_closed();
            async {}
        });
        let when = When::status_at_least(Status::Unhealthy);
        let healing = Healing::new(if forced { "insist" } else { "close" }, name);
        let settings = settings(|settings| settings.even_if_caused = forced);
        health.heal(healing.when(when).action(close).settings(settings)).unwrap()
    };
    let shop = heal("heal-shop", &breakers[0], false);
    sleep(seconds(55)).await;
    assert_eq!((shop.records().len(), shop.status().withheld), (0, Some(Withheld::Caused)));
    let db = heal("heal-db", &breakers[1], false);
    sleep(seconds(20)).await;
    assert_eq!((outcomes(&db), outcomes(&shop)), (vec![HealingOutcome::Helped], vec![]));
    sleep(seconds(20)).await;
    assert_eq!(outcomes(&shop), [HealingOutcome::Helped]);

    breakers.iter().for_each(CircuitBreaker::force_open);
    db.pause();
    shop.pause();
    let insisting = heal("heal-shop", &breakers[0], true);
    sleep(seconds(30)).await;
    assert_eq!(outcomes(&insisting), [HealingOutcome::Helped]);
    assert_eq!((db.records().len(), db.status().withheld), (1, Some(Withheld::Paused)));
}

#[tokio::test(start_paused = true)]
async fn a_record_keeps_the_most_costly_causes() {
    let health = health("many-causes");
    for number in 0..20 {
        let away = || async { Err::<(), _>("away") };
        let check = health.check_named("many-causes", format!("check-{number}"), Every::seconds(30), away);
        check.unwrap().run().await;
    }
    let healing = Healing::new("restart", "many-causes").action(Action::new(|| async {})).verify(false);
    let record = health.heal(healing).unwrap().run_now().await.unwrap();
    assert_eq!(record.cause.len(), 16);
}

#[tokio::test(start_paused = true)]
async fn the_texts_of_an_action_are_redacted_as_the_pipeline_redacts() {
    const SAID: &str = "iban=DE02120300000000202051 password=none";
    const REDACTED: &str = "iban=[redacted] password=none";

    let redaction = RedactionSettings::default().mask(["iban"]).leave(["password"]);
    let telemetry = campanile::Telemetry::builder("test").redaction(redaction).build().unwrap();
    let health = telemetry.health();
    let record = async |name: &'static str, action: Action| {
        let healing = Healing::new(name, "redacted").action(action).verify(false);
        health.heal(healing).unwrap().run_now().await.unwrap()
    };
    let says = Action::new(|| std::future::ready(Finding::Warn(SAID.to_owned())));
    assert_eq!(record("says", says).await.output.as_deref(), Some(REDACTED));
    let fails = record("fails", Action::new(|| async { Err::<(), _>(SAID) })).await;
    assert_eq!(fails.outcome, HealingOutcome::Failed(REDACTED.to_owned()));
    let panics = record("panics", Action::new(|| breaks(SAID))).await;
    assert_eq!(panics.outcome, HealingOutcome::Panicked(REDACTED.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn p53_any_end_of_an_action_is_recorded_and_does_no_harm() {
    let health = health("wild");
    let wild = |name: &'static str, action: Action| {
        let healing = Healing::new(name, "wild").action(action).verify(false).timeout(seconds(5));
        health.heal(healing).unwrap()
    };
    let handles = [
        wild("hangs", Action::new(std::future::pending::<()>)),
        wild("panics", Action::new(|| breaks("in the future"))),
        wild("panics-at-once", Action::new(|| -> std::future::Ready<()> { panic!("at once") })),
        wild("panics-with-a-number", Action::new(|| breaks(7))),
        wild("fails", Action::new(|| async { Err::<(), _>("password=hunter2".repeat(1_000)) })),
        wild("works", Action::new(|| async { Ok::<_, String>(()) })),
    ];
    let mut outcomes = Vec::new();
    for handle in &handles {
        let record = handle.run_now().await.unwrap();
        assert!(record.by_hand && record.cause.is_empty());
        assert_eq!(handle.records(), [Arc::clone(&record)]);
        outcomes.push(record.outcome.clone());
        // The task that hung must end before another action starts.
        tokio::task::yield_now().await;
    }
    assert_eq!(handles[0].records()[0].took, seconds(5));
    let HealingOutcome::Failed(why) = outcomes.remove(4) else { panic!("{outcomes:?}") };
    assert!(why.len() <= 4_096 && !why.contains("hunter2"), "{why}");
    let panicked = |with: &str| HealingOutcome::Panicked(with.to_owned());
    assert_eq!(
        outcomes,
        [
            HealingOutcome::TimedOut,
            panicked("in the future"),
            panicked("at once"),
            panicked("a value that is not text"),
            HealingOutcome::Unverified,
        ]
    );
    assert_eq!(health.healings().iter().map(|record| record.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p53_an_action_that_cannot_be_stopped_does_not_overlap_itself() {
    let health = health("stuck");
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let blocks = Action::new(move || {
        let released = Arc::clone(&released);
        async move { released.lock().unwrap().recv().map_err(|error| error.to_string()) }
    });
    let short = Backoff::constant(Duration::from_nanos(1));
    let healing = Healing::new("block", "stuck").action(blocks).timeout(Duration::from_millis(20));
    let handle = health.heal(healing.backoff(short)).unwrap();
    assert_eq!(handle.run_now().await.unwrap().outcome, HealingOutcome::TimedOut);
    assert!(handle.status().running);
    assert_eq!(handle.run_now().await, Err(Withheld::Running));
    release.send(()).unwrap();
    release.send(()).unwrap();
    while handle.status().running {
        tokio::task::yield_now().await;
    }
    assert_eq!(handle.records().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn p53_one_action_of_a_component_runs_at_a_time_and_run_now_obeys_the_limits() {
    let health = health("fought-over");
    let new = |name: &'static str| {
        let slow = Action::new(|| sleep(seconds(30)));
        let healing = Healing::new(name, "fought-over").action(slow).verify(false).at_most_per_hour(2);
        health.heal(healing.backoff(backoff())).unwrap()
    };
    let (first, second) = (new("first"), new("second"));
    let running = tokio::spawn({
        let first = first.clone();
        async move { first.run_now().await }
    });
    sleep(seconds(1)).await;
    assert!(first.status().running);
    assert_eq!(first.run_now().await, Err(Withheld::Running));
    assert_eq!(second.run_now().await, Err(Withheld::ComponentBusy));
    // The caller leaves, and the action goes on.
    running.abort();
    sleep(seconds(30)).await;
    assert_eq!(outcomes(&first), [HealingOutcome::Unverified]);
    assert_eq!(first.run_now().await, Err(Withheld::Backoff));
    assert_eq!(second.run_now().await.map(|record| record.number), Ok(2));
    sleep(seconds(60)).await;
    first.pause();
    assert_eq!(first.run_now().await.map(|record| record.number), Ok(3), "run_now works while paused");
    sleep(seconds(60)).await;
    assert_eq!(first.run_now().await, Err(Withheld::HourlyLimit));
    sleep(seconds(60)).await;
    health.drain();
    assert_eq!(second.run_now().await, Err(Withheld::Draining));
    assert_eq!(Withheld::Draining.to_string(), "the process drains");
}

#[tokio::test(start_paused = true)]
async fn p53_no_action_starts_while_the_healing_is_paused_or_the_process_drains() {
    let health = health("at-rest");
    let ill = Ill::yes();
    let healing = Healing::new("restart", "at-rest").when(ill.when()).action(ill.cure(false));
    let handle = health.heal(healing.backoff(backoff()).at_most_per_hour(60)).unwrap();
    handle.pause();
    sleep(seconds(100)).await;
    assert!(handle.records().is_empty() && handle.status().paused);
    assert_eq!(handle.status().withheld, Some(Withheld::Paused));
    handle.resume();
    sleep(seconds(100)).await;
    assert_eq!(handle.records().len(), 1);
    health.drain();
    sleep(seconds(1_000)).await;
    assert_eq!((handle.records().len(), handle.status().withheld), (1, Some(Withheld::Draining)));
}

#[tokio::test(start_paused = true)]
async fn p53_a_dry_run_does_everything_except_the_action() {
    let health = health("rehearsed");
    let ill = Ill::yes();
    let acted = Arc::new(AtomicU32::new(0));
    let acts = Arc::clone(&acted);
    let action = Action::new(move || {
        acts.fetch_add(1, Ordering::Relaxed);
        async {}
    });
    let escalates = Arc::clone(&acted);
    let healing = Healing::new("restart", "rehearsed")
        .when(ill.when())
        .action(action)
        .settings(settings(|settings| settings.escalate_after = 1))
        .backoff(backoff())
        .dry_run(true)
        .escalate(move |_| {
            escalates.fetch_add(1, Ordering::Relaxed);
            async {}
        });
    let handle = health.heal(healing).unwrap();
    sleep(HOUR - ROUND).await;
    assert_eq!(outcomes(&handle), vec![HealingOutcome::DryRun; 3], "dry runs count for the limits");
    assert_eq!(acted.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn p53_a_hundred_components_that_fail_at_once_obey_the_shared_limits() {
    let health = Health::standalone();
    let mut limits = HealingLimits::default();
    (limits.at_once, limits.per_hour) = (3, 40);
    health.limit_healing(limits).unwrap();
    let ill = Ill::yes();
    let now = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    for number in 0..100 {
        let name = format!("storm-{number}");
        health.register(Component::new(name.clone())).unwrap();
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        let action = Action::new(move || {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                sleep(seconds(5)).await;
                now.fetch_sub(1, Ordering::Relaxed);
            }
        });
        health.heal(Healing::new("restart", name).when(ill.when()).action(action).verify(false)).unwrap();
    }
    sleep(seconds(600)).await;
    assert_eq!((health.healings().len(), most.load(Ordering::Relaxed)), (40, 3));
    sleep(seconds(2_990)).await;
    assert_eq!(health.healings().len(), 40);
    sleep(seconds(300)).await;
    assert_eq!(health.healings().len(), 80);
}

#[tokio::test(start_paused = true)]
async fn p53_the_checks_of_the_component_verify_the_action() {
    let health = Health::standalone();
    let (ill, runs) = (Ill::yes(), Arc::new(AtomicU32::new(0)));
    let (asked, count) = (ill.clone(), Arc::clone(&runs));
    let _check = health
        .check("heal-checked", Every::seconds(36_000).jitter(0.0), move || {
            count.fetch_add(1, Ordering::Relaxed);
            let ill = asked.0.load(Ordering::Relaxed);
            async move { if ill { Err("no answer") } else { Ok(()) } }
        })
        .unwrap();
    let healing = |name: &'static str, helps| {
        let when = When::status_at_least(Status::Unhealthy);
        let healing = Healing::new(name, "heal-checked").when(when).action(ill.cure(helps));
        let settings = settings(|settings| settings.verify_within = seconds(30));
        health.heal(healing.settings(settings)).unwrap()
    };
    let useless = healing("useless", false);
    sleep(seconds(45)).await;
    let record = &useless.records()[0];
    assert_eq!((&record.outcome, record.took_in_all), (&HealingOutcome::DidNotHelp, seconds(30)));
    assert_eq!((record.status, record.status_after), (Status::Unhealthy, Some(Status::Unhealthy)));
    assert!(record.cause[0].contains("no answer"), "{record:?}");
    assert_eq!(runs.load(Ordering::Relaxed), 4, "three verifications, besides the scheduled run");
    useless.pause();

    let cure = healing("cure", true);
    sleep(seconds(25)).await;
    let record = &cure.records()[0];
    assert_eq!((&record.outcome, record.took_in_all), (&HealingOutcome::Helped, seconds(10)));
    assert_eq!((record.status_after, runs.load(Ordering::Relaxed)), (Some(Status::Healthy), 5));
    assert!(health.snapshot().component("heal-checked").unwrap().status < Status::Unhealthy);
}

/// Collects the log lines of healing.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

struct Message<'a>(&'a mut String);

impl tracing::field::Visit for Message<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            *self.0 = format!("{value:?}");
        }
    }
}

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Events {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() == "campanile::health" {
            let mut message = String::new();
            event.record(&mut Message(&mut message));
            self.0.lock().unwrap().push(message);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p53_each_action_is_logged_and_a_withheld_one_once() {
    let events = Events::default();
    let _guard = tracing_subscriber::registry().with(events.clone()).set_default();
    let health = health("logged");
    let ill = Ill::yes();
    let healing = Healing::new("restart", "logged").when(ill.when()).action(ill.cure(false));
    let _handle = health.heal(healing.at_most_per_hour(1).backoff(backoff())).unwrap();
    sleep(seconds(595)).await;
    assert_eq!(
        *events.0.lock().unwrap(),
        [
            "a healing ended: it did not help",
            "a healing does not start although its condition holds: it has used up its limit per hour (`at_most_per_hour`)",
            "a healing does not help: manual repair is needed",
        ]
    );
}

#[cfg(feature = "prometheus")]
#[tokio::test(start_paused = true)]
async fn p53_actions_and_withheld_actions_are_metrics() {
    let telemetry = campanile::Telemetry::builder("test").prometheus().build().unwrap();
    let health = telemetry.health();
    health.register(Component::new("counted")).unwrap();
    let healing = Healing::new("restart", "counted").action(Action::new(|| async {})).verify(false);
    let handle = health.heal(healing.at_most_per_hour(2).backoff(backoff())).unwrap();
    for _ in 0..3 {
        let _ = handle.run_now().await;
        sleep(seconds(61)).await;
    }
    let text = telemetry.prometheus_text();
    let value = |metric: &str, label: &str| {
        let line = text.lines().find(|line| {
            line.starts_with(metric) && line.contains("component=\"counted\"") && line.contains(label)
        });
        line.and_then(|line| line.rsplit_once(' ')).map(|(_, value)| value.parse::<f64>().unwrap())
    };
    let actions = "campanile_health_healing_actions_total";
    assert_eq!(value(actions, "outcome=\"unverified\""), Some(2.0), "{text}");
    assert_eq!(value(actions, "outcome=\"failed\""), Some(0.0));
    let withheld = "campanile_health_healing_withheld_total";
    assert_eq!(value(withheld, "reason=\"hourly_limit\""), Some(1.0));
    assert_eq!(value(withheld, "reason=\"backoff\""), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_reset_closes_a_circuit_unless_an_operator_has_overridden_it() {
    let health = Health::standalone();
    let breaker = CircuitBreaker::builder("heal-reset")
        .consecutive_failures(1)
        .open_for(Backoff::constant(seconds(100_000)))
        .build()
        .unwrap();
    let healing = |name: &'static str, action| {
        let when = When::reason(ReasonKind::CircuitOpen);
        health.heal(Healing::new(name, "heal-reset").when(when).action(action).backoff(backoff())).unwrap()
    };
    let reset = healing("reset", Action::reset(&breaker));
    let _ = breaker.call(async { Err::<(), _>("no") }).await;
    assert!(breaker.call(async { Ok::<_, &str>(()) }).await.is_err());
    sleep(seconds(25)).await;
    assert_eq!(outcomes(&reset), [HealingOutcome::Helped]);
    assert_eq!(reset.records()[0].cause.len(), 1);
    assert!(breaker.call(async { Ok::<_, &str>(()) }).await.is_ok());

    let shut = healing("shut", Action::force_open(&breaker).clone());
    breaker.disable();
    let refused = shut.run_now().await.unwrap();
    assert!(
        matches!(&refused.outcome, HealingOutcome::Failed(why) if why.contains("disabled")),
        "{refused:?}"
    );
    breaker.force_closed();
    sleep(seconds(100)).await;
    assert!(shut.run_now().await.is_ok());
    assert_eq!(breaker.state(), CircuitState::ForcedOpen);
    let refused = reset.run_now().await.unwrap();
    assert!(matches!(&refused.outcome, HealingOutcome::Failed(why) if why.contains("forced")), "{refused:?}");
    assert_eq!(breaker.state(), CircuitState::ForcedOpen);
}

#[tokio::test]
async fn a_redrive_sends_the_letters_of_a_queue_again() {
    let health = health("letters-to-heal");
    let queue = DeadLetterQueue::in_memory(10).named("letters-to-heal");
    let broken = ServiceBuilder::new()
        .layer(queue.layer())
        .service_fn(|_: u32| async { Err::<(), BoxError>("no".into()) });
    for number in 0..3 {
        broken.clone().oneshot(number).await.unwrap_err();
    }
    let repaired = service_fn(|number: u32| async move {
        if number == 2 { Err::<(), BoxError>("still not".into()) } else { Ok(()) }
    });
    let redrive = Action::redrive(&queue, repaired, Redrive::all());
    let healing = Healing::new("send-again", "letters-to-heal").action(redrive).verify(false);
    let record = health.heal(healing).unwrap().run_now().await.unwrap();
    assert_eq!(record.output.as_deref(), Some("2 letters were redriven, 1 failed again"));
    assert_eq!((record.outcome.clone(), queue.len().await.unwrap()), (HealingOutcome::Unverified, 1));
}

#[test]
fn p53_an_action_whose_runtime_ends_is_recorded_once() {
    let health = health("cut-short");
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let handle = first.block_on(async {
        let healing = Healing::new("restart", "cut-short").action(Action::new(std::future::pending::<()>));
        let handle = health.heal(healing).unwrap();
        let begins = handle.clone();
        tokio::spawn(async move { begins.run_now().await });
        while !handle.status().running {
            tokio::task::yield_now().await;
        }
        handle
    });
    assert!(handle.records().is_empty());
    drop(first);
    let failed = |outcome: &HealingOutcome| matches!(outcome, HealingOutcome::Failed(_));
    assert!(matches!(&*outcomes(&handle), [outcome] if failed(outcome)), "{:?}", handle.records());
    assert!(!handle.status().running);
}

#[test]
fn a_healing_without_a_runtime_does_not_start() {
    let health = health("no-runtime");
    let healing = Healing::new("restart", "no-runtime").action(Action::new(|| async {}));
    let handle = health.heal(healing).unwrap();
    let refused = tokio_test::task::spawn(handle.run_now()).poll();
    assert_eq!(refused, std::task::Poll::Ready(Err(Withheld::NoRuntime)));
    assert_eq!(handle.status().begun_in_the_last_hour, 0);
}

#[test]
fn settings_out_of_range_are_named() {
    let health = Health::standalone();
    let new = || Healing::new("restart", "refused").action(Action::new(|| async {}));
    let with = |change: fn(&mut HealingSettings)| new().settings(settings(change));
    let shrunk = Backoff::constant(Duration::ZERO);
    let redrive = |rate: f64| {
        let service = service_fn(|_: u32| async { Ok::<_, BoxError>(()) });
        Action::redrive(&DeadLetterQueue::in_memory(1), service, Redrive::all().rate(rate))
    };
    for (healing, setting) in [
        (Healing::new("", "refused").action(Action::new(|| async {})), "healing.name"),
        (Healing::new("restart", "").action(Action::new(|| async {})), "healing.component"),
        (Healing::new("restart", "refused"), "healing.action"),
        (new().when(When::status_at_least(Status::Healthy)), "healing.when.status_at_least"),
        (new().when(When::risk_above(1.0)), "healing.when.risk_above"),
        (new().when(When::risk_above(f64::NAN)), "healing.when.risk_above"),
        (new().at_most_per_hour(0), "healing.at_most_per_hour"),
        (new().at_most_per_hour(61), "healing.at_most_per_hour"),
        (new().backoff(shrunk), "healing.backoff.first"),
        (new().timeout(Duration::ZERO), "healing.timeout"),
        (new().timeout(seconds(3_601)), "healing.timeout"),
        (with(|settings| settings.verify_after = Duration::ZERO), "healing.verify_after"),
        (with(|settings| settings.verify_after = seconds(91)), "healing.verify_within"),
        (with(|settings| settings.verify_within = seconds(3_601)), "healing.verify_within"),
        (with(|settings| settings.well_after = Duration::ZERO), "healing.well_after"),
        (with(|settings| settings.escalate_after = 0), "healing.escalate_after"),
        (new().action(Action::command([""; 0])), "healing.command"),
        (new().action(Action::command([""])), "healing.command"),
        (new().action(Action::command(["systemctl restart worker"])), "healing.command"),
        (new().action(Action::command(["echo", "a\0b"])), "healing.command"),
        (new().action(redrive(-1.0)), "healing.redrive.rate"),
    ] {
        assert_eq!(health.heal(healing).unwrap_err().setting(), setting);
    }
    health.heal(new()).unwrap();
    assert_eq!(health.heal(new()).unwrap_err().value(), "\"restart\"", "the name is taken");
    for (at_once, per_hour, setting) in [(0, 1, "healing.at_once"), (1, 0, "healing.per_hour")] {
        let mut limits = HealingLimits::default();
        (limits.at_once, limits.per_hour) = (at_once, per_hour);
        assert_eq!(health.limit_healing(limits).unwrap_err().setting(), setting);
    }
}

#[test]
fn settings_come_from_text_and_unknown_keys_are_refused() {
    let text = r#"{ "at_most_per_hour": 5, "verify_within": "2m", "dry_run": true }"#;
    let settings: HealingSettings = serde_json::from_str(text).unwrap();
    assert_eq!((settings.at_most_per_hour, settings.verify_within), (5, seconds(120)));
    assert!(settings.dry_run && settings.verify);
    let again: HealingSettings = serde_json::from_value(serde_json::to_value(&settings).unwrap()).unwrap();
    assert_eq!(again, settings);
    assert!(serde_json::from_str::<HealingSettings>(r#"{ "per_hour": 5 }"#).is_err());
    assert!(serde_json::from_str::<HealingLimits>(r#"{ "at_once": 5, "often": 1 }"#).is_err());
}

/// One step: whether each component is ill, what actions do that begin now, which healing is run by hand, and how many
/// seconds the step lasts.
type Step = ([bool; 2], u8, Option<usize>, u64);

/// The healing of each action, when the action began and when it ended.
type Log = Arc<Mutex<Vec<(usize, Instant, Option<Instant>)>>>;

/// Logs the end of an action when it is dropped.
struct Ends(Log, usize);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.lock().unwrap()[self.1].2 = Some(Instant::now());
    }
}

fn logged(healing: usize, log: &Log, ill: &Ill, manner: &Arc<AtomicU32>) -> Action {
    let (log, ill, manner) = (Arc::clone(log), ill.clone(), Arc::clone(manner));
    Action::new(move || {
        let place = {
            let mut log = log.lock().unwrap();
            log.push((healing, Instant::now(), None));
            log.len() - 1
        };
        let (ends, ill, manner) =
            (Ends(Arc::clone(&log), place), ill.clone(), manner.load(Ordering::Relaxed));
        async move {
            let _ends = ends;
            sleep(seconds(u64::from(manner) * 7)).await;
            match manner {
                0 | 1 => {
                    ill.set(false);
                    Ok(())
                }
                2 => Ok(()),
                3 => Err("no"),
                4 => panic!("no"),
                _ => std::future::pending().await,
            }
        }
    })
}

async fn live_through(steps: Vec<Step>, limits: [u32; 3], at_once: usize, per_hour: u32) {
    let health = Health::standalone();
    let mut all = HealingLimits::default();
    (all.at_once, all.per_hour) = (at_once, per_hour);
    health.limit_healing(all).unwrap();
    let (log, manner) = (Log::default(), Arc::new(AtomicU32::new(0)));
    let ill = [Ill::default(), Ill::default()];
    // Two healings of one component, and one of another.
    let components = [0, 0, 1];
    let handles: Vec<HealingHandle> = (0..3)
        .map(|healing| {
            let component = components[healing];
            let name = format!("any-{component}");
            health.register(Component::new(name.clone())).unwrap();
            let healing = Healing::new(format!("healing-{healing}"), name)
                .when(ill[component].when())
                .action(logged(healing, &log, &ill[component], &manner))
                .settings(settings(|settings| {
                    settings.verify_within = seconds(20);
                    settings.well_after = seconds(60);
                }))
                .at_most_per_hour(limits[healing])
                .backoff(Backoff::exponential(seconds(1), seconds(30)))
                .timeout(seconds(40));
            health.heal(healing).unwrap()
        })
        .collect();
    for (now_ill, how, by_hand, long) in steps {
        ill.iter().zip(now_ill).for_each(|(ill, now)| ill.set(now));
        manner.store(u32::from(how), Ordering::Relaxed);
        if let Some(healing) = by_hand {
            let handle = handles[healing].clone();
            tokio::spawn(async move { handle.run_now().await });
        }
        sleep(seconds(long)).await;
    }
    ill.iter().for_each(|ill| ill.set(false));
    sleep(seconds(120)).await;

    let log = log.lock().unwrap();
    let within_an_hour = |begun: &[Instant]| {
        let most = begun.iter().map(|first| {
            begun.iter().filter(|other| *other >= first && other.duration_since(*first) < HOUR).count()
        });
        most.max().unwrap_or(0)
    };
    let of = |healing: usize| log.iter().filter(move |(by, ..)| *by == healing);
    for (healing, handle) in handles.iter().enumerate() {
        let begun: Vec<Instant> = of(healing).map(|(_, begun, _)| *begun).collect();
        assert!(within_an_hour(&begun) <= limits[healing] as usize, "{begun:?}");
        assert_eq!(handle.records().len(), begun.len().min(64));
    }
    let begun: Vec<Instant> = log.iter().map(|(_, begun, _)| *begun).collect();
    assert!(within_an_hour(&begun) <= per_hour as usize);
    let numbers: BTreeMap<u64, _> =
        health.healings().into_iter().map(|record| (record.number, record)).collect();
    assert_eq!(numbers.len(), handles.iter().map(|handle| handle.records().len()).sum::<usize>());
    // In the order of their starts: an action of a component ends before the next starts, and few run at once.
    for (place, (healing, begun, _)) in log.iter().enumerate() {
        let running = log[..place].iter().filter(|(.., ended)| ended.expect("all have ended") > *begun);
        let running: Vec<usize> = running.map(|(healing, ..)| components[*healing]).collect();
        assert!(!running.contains(&components[*healing]), "two at once for one component");
        assert!(running.len() < at_once);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn p53_no_sequence_of_events_exceeds_a_limit_or_leaves_no_record(
        steps in prop::collection::vec(
            (any::<[bool; 2]>(), 0_u8..6, prop::option::weighted(0.3, 0_usize..3), 1_u64..900),
            1..30,
        ),
        limits in any::<[prop::sample::Index; 3]>(),
        at_once in 1_usize..3,
        per_hour in 1_u32..40,
    ) {
        let limits = limits.map(|limit| limit.index(12) as u32 + 1);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(live_through(steps, limits, at_once, per_hour));
    }
}

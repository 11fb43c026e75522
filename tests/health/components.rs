//! Components: registration, evidence, status and readiness.

use std::time::Duration;

use campanile::health::{Component, Health, HealthSettings, ReasonKind, Status};
use campanile::{Backoff, CircuitBreaker, CircuitState, DeadLetterQueue, Window};
use tower::{ServiceBuilder, ServiceExt};

#[test]
fn a_registered_component_is_unknown_without_evidence() {
    let health = Health::standalone();
    health.register(Component::new("registered").critical(true).depends_on("unregistered")).unwrap();
    let snapshot = health.snapshot();
    let component = snapshot.component("registered").unwrap();
    assert_eq!(component.status, Status::Unknown);
    assert_eq!((component.score, component.reasons.len()), (1.0, 0));
    assert_eq!(component.depends_on.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["unregistered"]);
    assert!(component.critical && component.calls.is_none() && component.letters.is_none());
    assert!(snapshot.component("unregistered").is_none());
    assert!(health.readiness().ready, "a new process must get its first request");
}

#[tokio::test(start_paused = true)]
async fn p50_a_breaker_is_evidence_for_the_component_of_its_name() {
    let health = Health::standalone();
    let breaker = CircuitBreaker::builder("breaker-evidence")
        .window(Window::count(4))
        .minimum_calls(2)
        .open_for(Backoff::constant(Duration::from_secs(5)))
        .build()
        .unwrap();
    let component = || health.snapshot().component("breaker-evidence").cloned().unwrap();
    assert_eq!(component().status, Status::Unknown, "an unused closed circuit is no evidence");
    for _ in 0..2 {
        let _ = breaker.call(async { Err::<(), _>("no") }).await;
    }
    assert_eq!(breaker.state(), CircuitState::Open);
    let open = component();
    assert_eq!((open.status, open.score), (Status::Unhealthy, 0.25));
    assert_eq!(open.reasons.len(), 1);
    assert_eq!((open.reasons[0].kind, open.reasons[0].cost), (ReasonKind::CircuitOpen, 0.75));
    tokio::time::advance(Duration::from_secs(6)).await;
    let half_open = breaker
        .call(async {
            let seen = component();
            Ok::<_, &str>((seen.status, seen.reasons[0].kind))
        })
        .await;
    assert_eq!(half_open, Ok((Status::Degraded, ReasonKind::CircuitHalfOpen)));
    drop(breaker);
    let is_gone = || health.snapshot().component("breaker-evidence").is_none();
    assert!(crate::eventually(is_gone), "a dropped breaker is no evidence any more");
}

#[tokio::test(start_paused = true)]
async fn p50_a_keyed_breaker_costs_its_share_of_open_circuits() {
    let health = Health::standalone();
    let keyed = CircuitBreaker::keyed("keyed-evidence", |key: &u64| *key)
        .consecutive_failures(1)
        .max_ejected(0.25)
        .build()
        .unwrap();
    let component = || health.snapshot().component("keyed-evidence").cloned().unwrap();
    (0..4).for_each(|key| drop(keyed.circuit(key)));
    assert_eq!(component().status, Status::Unknown);
    for (key, status, score) in [(0, Status::Healthy, 0.8125), (1, Status::Degraded, 0.625)] {
        let _ = keyed.call(key, async { Err::<(), _>("no") }).await;
        let found = component();
        // `max_ejected` keeps the second circuit closed, but it counts as broken.
        assert_eq!((found.status, found.score, keyed.snapshot().states.open), (status, score, 1));
        assert_eq!(found.reasons[0].kind, ReasonKind::CircuitsOpen);
        assert_eq!(found.reasons[0].figure, f64::from(key as u32 + 1));
    }
    assert!(health.snapshot().component("keyed-evidence/0").is_none());
}

#[tokio::test]
async fn waiting_letters_are_evidence_for_the_component_of_their_queue() {
    let health = Health::standalone();
    health.configure(HealthSettings { letters: 2, ..HealthSettings::default() }).unwrap();
    let queue = DeadLetterQueue::in_memory(10).named("letter-box");
    let component = || health.snapshot().component("letter-box").cloned().unwrap();
    assert_eq!((component().status, component().letters), (Status::Healthy, Some(0)));
    let service = ServiceBuilder::new()
        .layer(queue.layer())
        .service_fn(|_: u32| async { Err::<(), tower::BoxError>("no".into()) });
    for number in 0..2 {
        service.clone().oneshot(number).await.unwrap_err();
    }
    let full = component();
    assert_eq!((full.status, full.score, full.letters), (Status::Degraded, 0.75, Some(2)));
    assert_eq!(full.reasons[0].kind, ReasonKind::Letters);
    assert_eq!(full.reasons[0].text, "2 dead letters are waiting; the limit is 2");
}

#[test]
fn cycles_are_refused_with_their_path() {
    let health = Health::standalone();
    health.register(Component::new("a").depends_on("b")).unwrap();
    health.register(Component::new("b").depends_on("c").depends_on("d")).unwrap();
    let error = health.register(Component::new("c").depends_on("a")).unwrap_err();
    assert_eq!((error.setting(), error.value()), ("component.c.depends_on", "`c -> a -> b -> c`"));
    let error = health.register(Component::new("d").depends_on("d")).unwrap_err();
    assert_eq!(error.value(), "`d -> d`");
    assert!(health.snapshot().component("c").is_none(), "a refused registration changes nothing");
    // Two paths to one component are not a cycle, and a registration can remove the dependency that closes one.
    health.register(Component::new("e").depends_on("a").depends_on("b")).unwrap();
    health.register(Component::new("a")).unwrap();
    health.register(Component::new("c").depends_on("a")).unwrap();
}

#[test]
fn a_long_chain_of_dependencies_is_searched_for_cycles() {
    let health = Health::standalone();
    for link in 0..2_000 {
        let next = format!("link-{}", link + 1);
        health.register(Component::new(format!("link-{link}")).depends_on(next)).unwrap();
    }
    let error = health.register(Component::new("link-2000").depends_on("link-0")).unwrap_err();
    assert!(error.value().starts_with("`link-2000 -> link-0 -> link-1 -> "), "{error}");
}

#[test]
fn p52_readiness_names_the_critical_component_that_is_missing() {
    let health = Health::standalone();
    let needed = CircuitBreaker::builder("needed").build().unwrap();
    let nice = CircuitBreaker::builder("nice-to-have").build().unwrap();
    health.register(Component::new("needed").critical(true).depends_on("below")).unwrap();
    nice.force_open();
    assert!(health.readiness().ready, "not every component is critical");
    let below = CircuitBreaker::builder("below").build().unwrap();
    below.force_open();
    needed.force_open();
    // Registered again to discard the cached snapshot.
    health.register(Component::new("needed").critical(true).depends_on("below")).unwrap();
    let readiness = health.readiness();
    assert!(!readiness.ready && !readiness.draining);
    let [missing] = readiness.missing.as_slice() else { panic!("{readiness:?}") };
    assert_eq!((&*missing.name, missing.status), ("needed", Status::Unhealthy));
    assert_eq!(
        (missing.reasons.len(), &*missing.reasons[0].text),
        (1, "an operator forced the circuit open")
    );
    assert_eq!(missing.because_of.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["below"]);
}

#[test]
fn draining_ends_readiness_at_once_and_for_good() {
    let health = Health::standalone();
    let clone = health.clone();
    assert!(health.readiness().ready);
    clone.drain();
    let readiness = health.readiness();
    assert!(!readiness.ready && readiness.draining && readiness.missing.is_empty());
}

#[tokio::test(start_paused = true)]
async fn readiness_comes_from_a_cached_snapshot() {
    let health = Health::standalone();
    let breaker = CircuitBreaker::builder("flooded").build().unwrap();
    health.register(Component::new("flooded").critical(true)).unwrap();
    assert!(health.readiness().ready && health.is_ready());
    breaker.force_open();
    tokio::time::advance(Duration::from_millis(999)).await;
    assert!(health.readiness().ready && health.is_ready(), "the cached snapshot");
    assert_eq!(health.snapshot().component("flooded").unwrap().status, Status::Unhealthy);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(!health.is_ready() && !health.readiness().ready);
    // A change of the configuration counts at once.
    let mut settings = HealthSettings::default();
    settings.weights.circuit_open = 0.0;
    health.configure(settings).unwrap();
    assert!(health.is_ready() && health.readiness().ready);
    health.drain();
    assert!(!health.is_ready());
}

#[test]
fn a_snapshot_is_json() {
    let health = Health::standalone();
    let breaker = CircuitBreaker::builder("written").build().unwrap();
    breaker.force_open();
    let json = serde_json::to_value(health.snapshot()).unwrap();
    let components = json["components"].as_array().unwrap();
    let written = components.iter().find(|component| component["name"] == "written").unwrap();
    assert_eq!((&written["status"], &written["score"]), (&"unhealthy".into(), &0.25.into()));
    let reason = &written["reasons"][0];
    assert_eq!((&reason["kind"], &reason["cost"]), (&"circuit_forced_open".into(), &0.75.into()));
}

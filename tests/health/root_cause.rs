//! Root causes in chains and diamonds of components.

use campanile::CircuitBreaker;
use campanile::health::{Component, Health, HealthSnapshot, Status};

/// Forces circuits of these names open until the result is dropped.
fn force_open(names: &[&str]) -> Vec<CircuitBreaker> {
    names
        .iter()
        .map(|name| {
            let breaker = CircuitBreaker::builder(*name).build().unwrap();
            breaker.force_open();
            breaker
        })
        .collect()
}

/// The root causes of one test: other tests of this process have failing components, too.
fn roots<'a>(snapshot: &'a HealthSnapshot, prefix: &str) -> Vec<&'a str> {
    snapshot.root_causes.iter().map(AsRef::as_ref).filter(|name: &&str| name.starts_with(prefix)).collect()
}

fn because_of<'a>(snapshot: &'a HealthSnapshot, name: &str) -> Vec<&'a str> {
    snapshot.component(name).unwrap().because_of.iter().map(AsRef::as_ref).collect()
}

/// Registers a chain of components, each of which depends on the next.
fn chain(health: &Health, prefix: &str, links: usize) -> Vec<String> {
    let names: Vec<String> = (0..links).map(|link| format!("{prefix}-{link}")).collect();
    for pair in names.windows(2) {
        health.register(Component::new(pair[0].as_str()).depends_on(pair[1].as_str())).unwrap();
    }
    names
}

#[test]
fn a_chain_whose_last_component_fails_has_one_root_cause() {
    for links in [2, 10, 1_000] {
        let health = Health::standalone();
        let prefix = format!("chain-of-{links}");
        let names = chain(&health, &prefix, links);
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let _broken = force_open(&all);
        let snapshot = health.snapshot();
        let last = all[links - 1];
        assert_eq!(roots(&snapshot, &prefix), [last]);
        for name in &all[..links - 1] {
            assert_eq!(because_of(&snapshot, name), [last]);
        }
        assert_eq!(because_of(&snapshot, last), [""; 0]);
    }
}

#[test]
fn the_search_passes_through_unknown_components_and_not_through_healthy_ones() {
    let health = Health::standalone();
    chain(&health, "gap", 4);
    let _broken = force_open(&["gap-0", "gap-3"]);
    let snapshot = health.snapshot();
    assert_eq!(snapshot.component("gap-1").unwrap().status, Status::Unknown);
    assert_eq!(because_of(&snapshot, "gap-0"), ["gap-3"]);
    assert_eq!(roots(&snapshot, "gap"), ["gap-3"]);

    // An empty queue makes the component healthy: components above it do not fail because of those below it.
    let _queue = campanile::DeadLetterQueue::in_memory(10).named("gap-1");
    let snapshot = health.snapshot();
    assert_eq!(snapshot.component("gap-1").unwrap().status, Status::Healthy);
    assert_eq!(because_of(&snapshot, "gap-0"), [""; 0]);
    assert_eq!(roots(&snapshot, "gap"), ["gap-0", "gap-3"]);
}

#[test]
fn a_diamond_has_one_root_cause_and_that_of_most_components_comes_first() {
    let health = Health::standalone();
    for (name, below) in [
        ("diamond-top", &["diamond-left", "diamond-right"][..]),
        ("diamond-left", &["diamond-base"]),
        ("diamond-right", &["diamond-base"]),
        ("diamond-aside", &["diamond-alone"]),
    ] {
        let component = Component::new(name);
        let component = below.iter().fold(component, |component, below| component.depends_on(*below));
        health.register(component).unwrap();
    }
    let _diamond = force_open(&["diamond-top", "diamond-left", "diamond-right", "diamond-base"]);
    let snapshot = health.snapshot();
    assert_eq!(roots(&snapshot, "diamond"), ["diamond-base"]);
    assert_eq!(because_of(&snapshot, "diamond-top"), ["diamond-base"]);

    let _aside = force_open(&["diamond-aside", "diamond-alone"]);
    assert_eq!(roots(&health.snapshot(), "diamond"), ["diamond-base", "diamond-alone"]);
}

#[test]
fn the_worst_root_cause_comes_first() {
    let health = Health::standalone();
    let mild = CircuitBreaker::keyed("first-mild", |key: &u64| *key).build().unwrap();
    (0..2).for_each(|key| drop(mild.circuit(key)));
    mild.circuit(0).force_open();
    health.register(Component::new("first-dependent").depends_on("first-mild")).unwrap();
    let _broken = force_open(&["first-worst", "first-dependent"]);
    let snapshot = health.snapshot();
    assert!(snapshot.component("first-mild").unwrap().status < Status::Unhealthy);
    assert_eq!(roots(&snapshot, "first"), ["first-worst", "first-mild"]);
}

#[test]
fn an_optional_component_is_a_root_cause_only_for_others() {
    let health = Health::standalone();
    health.register(Component::new("optional-cache").optional(true)).unwrap();
    let _cache = force_open(&["optional-cache"]);
    assert_eq!(roots(&health.snapshot(), "optional"), [""; 0], "the service does not need it");

    health.register(Component::new("optional-shop").depends_on("optional-cache")).unwrap();
    assert_eq!(roots(&health.snapshot(), "optional"), [""; 0], "the shop does not fail");

    let _shop = force_open(&["optional-shop"]);
    let snapshot = health.snapshot();
    assert_eq!(because_of(&snapshot, "optional-shop"), ["optional-cache"]);
    assert_eq!(roots(&snapshot, "optional"), ["optional-cache"]);
}

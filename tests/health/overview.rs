//! The overview of a process as a text.
//!
//! Circuits and queues of other tests may be in it too.

use std::time::Duration;

use campanile::health::Component;
use campanile::{CircuitBreaker, Health, Telemetry};

#[test]
fn an_overview_of_an_idle_process_says_so() {
    let health = Telemetry::builder("shop").variables(|_| None).build().unwrap().health();
    let overview = health.overview();
    assert_eq!(overview.service.as_deref(), Some("shop"));
    let text = overview.to_string();
    assert!(text.starts_with("shop is ") && text.contains("no calls in the last minute"), "{text}");
}

#[test]
fn an_overview_shows_calls_failures_circuits_letters_and_reasons() {
    let telemetry = Telemetry::builder("shop").variables(|_| None).build().unwrap();
    let health = telemetry.health();
    let (checkout, idle) = (health.recorder("overview-checkout"), health.recorder("overview-mail"));
    (0..30).for_each(|call| match call % 10 {
        0 => checkout.record(Duration::from_millis(120), true),
        _ => checkout.record(Duration::from_millis(120), false),
    });
    (0..10).for_each(|_| idle.record(Duration::from_millis(2), false));
    let breaker = CircuitBreaker::builder("overview-payments").build().unwrap();
    let closed = CircuitBreaker::builder("overview-closed").build().unwrap();
    breaker.force_open();
    health.register(Component::new("overview-payments").critical(true)).unwrap();
    let overview = health.overview();
    assert!(!overview.ready);
    assert_eq!(overview.circuits.get("overview-payments").map(String::as_str), Some("forced_open"));
    assert!(!overview.circuits.contains_key("overview-closed"), "{overview:?}");
    let text = overview.to_string();
    for part in [
        "and not ready: the critical component `overview-payments` is unhealthy",
        "40 calls in the last minute, 3 failed (7.5 %)",
        "  overview-checkout: 30 calls, 3 failed, p95 1",
        "  overview-mail: 10 calls, 0 failed, p95 2",
        "overview-payments is unhealthy: an operator forced the circuit open",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = serde_json::to_value(&overview).unwrap();
    assert_eq!(json["circuits"]["overview-payments"], "forced_open");
    drop(closed);
}

#[cfg(feature = "dead-letters")]
#[tokio::test]
async fn an_overview_shows_the_letters_that_wait() {
    use campanile::DeadLetterQueue;
    use tower::{ServiceExt, service_fn};

    let queue = DeadLetterQueue::builder("overview-letters").build().unwrap();
    let layer = queue.layer();
    let fails = service_fn(|_: String| async { Err::<(), _>(std::io::Error::other("gone")) });
    let mut service = tower::Layer::layer(&layer, fails);
    for letter in ["a", "b"] {
        let _ = (&mut service).oneshot(letter.to_owned()).await;
    }
    let overview = Health::standalone().overview();
    assert_eq!(overview.letters.get("overview-letters"), Some(&2), "{overview:?}");
    assert!(overview.to_string().contains("letters: "), "{overview}");
}

#[test]
fn an_overview_has_at_most_15_short_lines_whatever_the_names_are() {
    let telemetry = Telemetry::builder("shop").variables(|_| None).build().unwrap();
    let health = telemetry.health();
    let breakers: Vec<_> = (0..40)
        .map(|number| {
            let name = format!("overview {number}\n{}", "ä".repeat(number * 5));
            let recorder = health.recorder(name.clone());
            (0..20 + number).for_each(|_| recorder.record(Duration::from_millis(1), true));
            let breaker = CircuitBreaker::builder(name).build().unwrap();
            breaker.force_open();
            breaker
        })
        .collect();
    health.register(Component::new(breakers[20].name()).critical(true)).unwrap();
    let text = health.overview().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!((8..=15).contains(&lines.len()), "{text}");
    assert!(lines.iter().all(|line| line.len() <= 310), "{text}");
    assert!(text.contains("  and 36 more") && text.contains("more are not well)"), "{text}");
    let first = |start: &str| lines.iter().find(|line| line.starts_with(start)).copied().unwrap_or_default();
    assert!(first("  overview ").starts_with("  overview 39 "), "the busiest: {text}");
    assert!(first("overview ").starts_with("overview 20 "), "the critical one: {text}");
    assert!(first("circuits: ").contains(" more"), "{text}");
    drop(breakers);
}

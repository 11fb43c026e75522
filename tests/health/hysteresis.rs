//! A status gets better only beyond a margin.

use std::sync::Arc;

use campanile::dead_letter::LetterFilter;
use campanile::health::{Health, HealthSettings, Status, Thresholds};
use campanile::{CircuitBreaker, DeadLetterQueue};
use tower::{Service, ServiceBuilder, ServiceExt};

/// A queue that can be filled to any number of letters.
struct Queue {
    queue: DeadLetterQueue,
    next: u32,
}

impl Queue {
    async fn fill(&mut self, letters: u64) {
        while self.queue.len().await.unwrap() > letters {
            let newest = self.queue.list(LetterFilter::all()).await.unwrap()[0].id;
            self.queue.purge(LetterFilter::id(newest)).await.unwrap();
        }
        while self.queue.len().await.unwrap() < letters {
            self.next += 1;
            let mut service = ServiceBuilder::new()
                .layer(self.queue.layer())
                .service_fn(|_: u32| async { Err::<(), tower::BoxError>("no".into()) });
            service.ready().await.unwrap().call(self.next).await.unwrap_err();
        }
    }
}

#[tokio::test]
async fn a_score_at_a_threshold_does_not_flap() {
    let health = Health::standalone();
    let settings = |margin| HealthSettings {
        letters: 20,
        thresholds: Thresholds { margin, ..Thresholds::default() },
        ..HealthSettings::default()
    };
    health.configure(settings(0.05)).unwrap();
    let mut queue = Queue { queue: DeadLetterQueue::in_memory(100).named("about-to-flap"), next: 0 };
    let status = || health.snapshot().component("about-to-flap").unwrap().status;

    queue.fill(19).await;
    assert_eq!(status(), Status::Healthy, "the score is 0.775");
    for _ in 0..5 {
        queue.fill(20).await;
        assert_eq!(status(), Status::Degraded, "the status gets worse at once");
        queue.fill(19).await;
        assert_eq!(status(), Status::Degraded, "0.775 is above the threshold, but within the margin");
    }
    // Another health does not know the last status.
    assert_eq!(Health::standalone().snapshot().component("about-to-flap").unwrap().status, Status::Healthy);
    queue.fill(17).await;
    assert_eq!(status(), Status::Healthy, "0.825 is beyond the margin");

    queue.fill(20).await;
    assert_eq!(status(), Status::Degraded);
    health.configure(settings(0.0)).unwrap();
    queue.fill(19).await;
    assert_eq!(status(), Status::Healthy, "without a margin");
}

#[test]
fn a_component_that_comes_back_has_no_last_status() {
    let health = Health::standalone();
    let keyed = || {
        let keyed = CircuitBreaker::keyed("gone-and-back", |key: &u64| *key).build().unwrap();
        (0..100).for_each(|key| drop(keyed.circuit(key)));
        keyed
    };
    let status = || health.snapshot().component("gone-and-back").map(|found| found.status);
    let first = keyed();
    // The score is 0.7, and then 0.775.
    (0..40).for_each(|key| first.circuit(key).force_open());
    assert_eq!(status(), Some(Status::Degraded));
    (30..40).for_each(|key| first.circuit(key).reset());
    assert_eq!(status(), Some(Status::Degraded));
    drop(first);
    assert!(crate::eventually(|| status().is_none()));
    let second = keyed();
    (0..30).for_each(|key| second.circuit(key).force_open());
    assert_eq!(status(), Some(Status::Healthy));
}

#[test]
fn concurrent_snapshots_have_the_same_status() {
    let health = Health::standalone();
    let breaker = Arc::new(CircuitBreaker::builder("concurrent-snapshots").build().unwrap());
    breaker.force_open();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let snapshot = health.snapshot();
                    let found = snapshot.component("concurrent-snapshots").unwrap();
                    assert_eq!((found.status, found.score), (Status::Unhealthy, 0.25));
                }
            });
        }
    });
}

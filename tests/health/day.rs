//! A simulated day of flapping checks, standstills and healings, all at once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::Health;
use campanile::health::{
    Action, CheckHandle, Component, Every, Finding, Healing, HealingHandle, HealingLimits, Status, When,
};
use tokio::time::{Instant, advance, sleep};

#[path = "../support/long.rs"]
mod long;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const HOUR: Duration = Duration::from_secs(3_600);

/// A dependency whose check passes, fails, hangs or panics, as set.
#[derive(Clone, Default)]
struct Peer(Arc<AtomicU32>);

impl Peer {
    fn set(&self, outcome: u32) {
        self.0.store(outcome, Ordering::Relaxed);
    }

    fn check(
        &self,
    ) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = Finding> + Send>> + Send + Sync + 'static {
        let peer = self.clone();
        move || {
            let outcome = peer.0.load(Ordering::Relaxed);
            Box::pin(async move {
                sleep(Duration::from_millis(20)).await;
                match outcome {
                    0 => Finding::Pass,
                    1 => Finding::Fail("it fails".to_owned()),
                    2 => std::future::pending().await,
                    3 => panic!("it panics"),
                    _ => Finding::Warn("it warns".to_owned()),
                }
            })
        }
    }
}

/// Asserts that any window of an hour holds at most `most` beginnings.
fn assert_at_most_per_hour(began: &[Instant], most: usize) {
    let mut hour = VecDeque::new();
    for at in began {
        while hour.front().is_some_and(|first: &Instant| *at - *first >= HOUR) {
            hour.pop_front();
        }
        hour.push_back(*at);
        assert!(hour.len() <= most, "{} within an hour", hour.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_of_flapping_standstills_and_healings_exceeds_no_limit() {
    for seed in 0..u64::from(long::times(1, 20)) {
        day(seed).await;
    }
}

async fn day(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    // Checks and healings draw from this generator: they run on this thread.
    fastrand::seed(seed);
    let health = Health::standalone();
    let mut limits = HealingLimits::default();
    (limits.at_once, limits.per_hour) = (2, 12);
    health.limit_healing(limits).unwrap();
    let peers: Vec<Peer> = (0..6).map(|_| Peer::default()).collect();
    let began: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let running = Arc::new(AtomicU32::new(0));
    let mut handles: Vec<HealingHandle> = Vec::new();
    let mut checks: Vec<CheckHandle> = Vec::new();
    for (number, peer) in peers.iter().enumerate() {
        let name = format!("day-{number}");
        let component = Component::new(name.clone()).critical(number < 2);
        // Every second component depends on the one before it.
        health
            .register(if number % 2 == 1 {
                component.depends_on(format!("day-{}", number - 1))
            } else {
                component
            })
            .unwrap();
        let every = Every::seconds(30).timeout(seconds(5)).failures(1 + number as u32 % 2);
        checks.push(health.check(name.clone(), every, peer.check()).unwrap());
        // Two healings for each component: one that sometimes helps, and one that makes its check hang.
        for breaks in [false, true] {
            let (begins, running, peer) = (Arc::clone(&began), Arc::clone(&running), peer.clone());
            let action = Action::new(move || {
                let (begins, running, peer) = (Arc::clone(&begins), Arc::clone(&running), peer.clone());
                async move {
                    begins.lock().unwrap().push(Instant::now());
                    assert!(running.fetch_add(1, Ordering::Relaxed) < 2);
                    sleep(seconds(2)).await;
                    running.fetch_sub(1, Ordering::Relaxed);
                    peer.set(if breaks { 2 } else { fastrand::u32(0..3) });
                }
            });
            let when =
                When::status_at_least(Status::Unhealthy).for_at_least(seconds(if breaks { 60 } else { 20 }));
            let healing =
                Healing::new(if breaks { "break" } else { "repair" }, name.clone()).when(when).action(action);
            handles.push(health.heal(healing).unwrap());
        }
    }
    let calls = health.recorder("day-called");
    health.register(Component::new("day-called").critical(true)).unwrap();
    let start = Instant::now();
    let mut steps = 0_u32;
    while start.elapsed() < 24 * HOUR {
        steps += 1;
        match random.u32(0..100) {
            0..30 => peers[random.usize(..peers.len())].set(random.u32(0..5)),
            30..60 => peers.iter().for_each(|peer| peer.set(0)),
            60..75 => {
                (0..random.u32(0..30)).for_each(|_| calls.record(Duration::from_millis(5), random.bool()))
            }
            75..80 => {
                // Components that come and go.
                let name = format!("day-temporary-{}", random.u32(0..50));
                if let Ok(temporary) = health.check(name.clone(), Every::seconds(10), || async {}) {
                    health.recorder(name).record(Duration::from_millis(1), random.bool());
                    checks.push(temporary);
                } else {
                    checks.drain(6..).for_each(|temporary| temporary.stop());
                }
            }
            80..83 => advance(seconds(random.u64(1..7_200))).await,
            83..86 => {
                let by_hand = handles[random.usize(..handles.len())].clone();
                tokio::spawn(async move { drop(by_hand.run_now().await) });
            }
            86..90 => health.register(Component::new("day-called").critical(random.bool())).unwrap(),
            _ => {}
        }
        let (ready, readiness, snapshot) = (health.is_ready(), health.readiness(), health.snapshot());
        let expected = readiness.missing.is_empty() && readiness.starting.is_empty();
        assert_eq!((expected, ready), (readiness.ready, readiness.ready), "{readiness:?}");
        for component in &snapshot.components {
            let lost: f64 = component.reasons.iter().map(|reason| reason.cost).sum();
            assert_eq!(lost, 1.0 - component.score, "{component:?}");
        }
        sleep(Duration::from_millis(random.u64(1..60_000))).await;
    }
    let began = began.lock().unwrap().clone();
    assert!(steps > 300 && began.len() > 20, "{steps} steps, {} actions", began.len());
    assert_at_most_per_hour(&began, 12);
    for handle in &handles {
        assert!(handle.records().len() <= 64 && handle.status().begun_in_the_last_hour <= 3);
    }
    // Without failures the process gets ready.
    handles.iter().for_each(HealingHandle::pause);
    peers.iter().for_each(|peer| peer.set(0));
    sleep(seconds(600)).await;
    assert!(health.is_ready());
    assert!(checks.iter().take(6).all(|check| !check.report().outcome.is_failure()));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_checks_survive_standstills() {
    let health = Health::standalone();
    let hung = Arc::new(AtomicBool::new(false));
    for number in 0..1_000 {
        let name = format!("full-{number}");
        health.register(Component::new(name.clone()).critical(true)).unwrap();
        let hung = Arc::clone(&hung);
        let check = move || {
            let hangs = hung.load(Ordering::Relaxed) && number == 7;
            async move {
                if hangs {
                    std::future::pending().await
                }
                sleep(Duration::from_millis(300)).await;
            }
        };
        health.check(name, Every::seconds(10).timeout(seconds(2)), check).unwrap();
    }
    sleep(seconds(15)).await;
    for _ in 0..20 {
        assert!(health.is_ready());
        advance(seconds(1_000)).await;
        assert!(health.is_ready());
        sleep(seconds(3)).await;
        assert!(health.is_ready());
    }
    hung.store(true, Ordering::Relaxed);
    sleep(seconds(30)).await;
    let missing = health.readiness().missing;
    assert!(matches!(&*missing, [one] if &*one.name == "full-7"), "{missing:?}");
    hung.store(false, Ordering::Relaxed);
    sleep(seconds(30)).await;
    assert!(health.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_start_and_a_drain_survive_standstills() {
    let health = Health::standalone();
    health.register(Component::new("starts").critical(true)).unwrap();
    let peer = Peer::default();
    peer.set(1);
    health.check("starts", Every::seconds(5), peer.check()).unwrap();
    let gate = health.starting("migrations");
    sleep(seconds(10)).await;
    advance(10 * HOUR).await;
    assert!(!health.readiness().starting.is_empty() && !health.is_ready());
    gate.done();
    peer.set(0);
    sleep(seconds(10)).await;
    assert!(health.readiness().starting.is_empty() && health.is_ready());
    advance(10 * HOUR).await;
    assert!(health.is_ready());
    health.drain();
    sleep(seconds(1)).await;
    assert!(!health.is_ready());
    advance(10 * HOUR).await;
    let readiness = health.readiness();
    assert!(readiness.draining && readiness.starting.is_empty());
}

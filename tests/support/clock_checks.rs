//! Checks that a change of the wall clock does not affect a store.

#![allow(dead_code, unreachable_pub)] // Each test binary uses some of them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use campanile::dead_letter::Redrive;
use campanile::store::{Claim, LetterFilter, LetterId, Owner, PurgeRecord, Store};
use campanile::{Backoff, DeadLetterQueue};
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::store_checks::{entry, now, put, queue};
use crate::wall::Wall;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Runs every check with every step of the clock, from the right time to a wrong one and back.
pub async fn all(store: &dyn Store, wall: &Wall) {
    for step in wall.steps() {
        for (from, to) in [(0, step), (step, 0)] {
            wall.set(from);
            leases(store, wall, to).await;
            wall.set(from);
            expiry(store, wall, to).await;
            wall.set(from);
            counts(store, wall, to).await;
            wall.set(from);
            ages(store, wall, to).await;
            wall.set(from);
            due(store, wall, to).await;
        }
    }
    wall.set(0);
}

async fn claim(store: &dyn Store, queue: &str, lease: Duration, due: bool) -> Vec<LetterId> {
    let now = now();
    let claim = Claim { owner: Owner::new(), now, lease, due_by: due.then_some(now), bytes: u64::MAX };
    let claimed = store.claim(queue, &LetterFilter::all(), claim).await.unwrap();
    claimed.iter().map(|entry| entry.id).collect()
}

/// A step neither ends a lease nor extends it.
async fn leases(store: &dyn Store, wall: &Wall, to: i64) {
    let (long, short) = (queue("long"), queue("short"));
    for queue in [&long, &short] {
        put(store, &entry(queue)).await;
    }
    assert_eq!(claim(store, &long, 10 * HOUR, false).await.len(), 1);
    assert_eq!(claim(store, &short, Duration::from_millis(20), false).await.len(), 1);
    wall.set(to);
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert!(claim(store, &long, DAY, false).await.is_empty(), "it is held, {to}");
    assert_eq!(claim(store, &short, DAY, false).await.len(), 1, "the lease has ended, {to}");
}

/// A step neither expires letters early nor keeps expired ones.
async fn expiry(store: &dyn Store, wall: &Wall, to: i64) {
    let queue = queue("expiry");
    let mut late = entry(&queue);
    late.expires = Some(late.last_failed + 10 * HOUR);
    put(store, &late).await;
    let mut soon = entry(&queue);
    soon.expires = Some(soon.last_failed + Duration::from_millis(20));
    put(store, &soon).await;
    wall.set(to);
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert_eq!(store.expire(&queue, now()).await.unwrap(), 1, "{to}");
    assert!(store.get(&queue, late.id).await.unwrap().is_some(), "{to}");
}

/// Failures from before the step count as recent.
async fn counts(store: &dyn Store, wall: &Wall, to: i64) {
    let queue = queue("counts");
    put(store, &entry(&queue)).await;
    wall.set(to);
    put(store, &entry(&queue)).await;
    let counted = store.frequencies(&queue, HOUR).await.unwrap();
    assert_eq!(counted.iter().map(|one| one.failures).sum::<u64>(), 2, "{to}");
}

/// A step does not change the age of a letter.
async fn ages(store: &dyn Store, wall: &Wall, to: i64) {
    let queue = queue("ages");
    put(store, &entry(&queue)).await;
    let mut old = entry(&queue);
    old.last_failed = old.last_failed.checked_sub(2 * DAY).unwrap_or(SystemTime::UNIX_EPOCH);
    let has_age = old.last_failed > SystemTime::UNIX_EPOCH;
    put(store, &old).await;
    wall.set(to);
    let older = u64::from(has_age);
    assert_eq!(
        store.count(&queue, &LetterFilter::all().newer_than(HOUR / 2)).await.unwrap(),
        2 - older,
        "{to}"
    );
    let record = PurgeRecord::new("a test", LetterFilter::older_than(HOUR / 2));
    assert_eq!(store.purge(&queue, record).await.unwrap().purged, older, "{to}");
}

/// A step neither makes letters due nor delays them.
async fn due(store: &dyn Store, wall: &Wall, to: i64) {
    let queue = queue("due");
    let mut late = entry(&queue);
    late.due = Some(late.last_failed + 10 * HOUR);
    put(store, &late).await;
    let mut soon = entry(&queue);
    soon.due = Some(soon.last_failed + Duration::from_millis(20));
    put(store, &soon).await;
    wall.set(to);
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert_eq!(claim(store, &queue, DAY, true).await, [soon.id], "{to}");
}

/// The settings of an automatic redrive that sends each letter after `wait`.
pub fn automatic(wait: Duration) -> Redrive {
    Redrive::all().backoff(Backoff::constant(wait)).interval(Duration::from_millis(100))
}

pub async fn park(queue: &DeadLetterQueue, number: u32) {
    let service = service_fn(|_: u32| async { Err::<(), BoxError>("it is away".into()) });
    queue.layer().layer(service).oneshot(number).await.unwrap_err();
}

/// Letters that were parked before a step are sent once after it, by a manual and by an automatic redrive.
pub async fn redrives(open: impl Fn(String) -> DeadLetterQueue, wall: &Wall) {
    for (number, step) in wall.steps().into_iter().enumerate() {
        for (from, to) in [(0, step), (step, 0)] {
            wall.set(from);
            let queue = open(format!("{number} {from} {to}"));
            let fine = || service_fn(|_: u32| async { Ok::<_, BoxError>(()) });
            for number in 0..3 {
                park(&queue, number).await;
            }
            wall.set(to);
            let report = queue.redrive(fine(), Redrive::all()).await.unwrap();
            assert_eq!((report.redriven, report.held), (3, 0), "from {from} to {to}: {report:?}");

            wall.set(from);
            let running = queue.redrive_automatically(fine(), automatic(Duration::from_millis(300))).unwrap();
            for number in 0..3 {
                park(&queue, number).await;
            }
            wall.set(to);
            for _ in 0..100 {
                if running.progress().so_far.redriven == 3 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let report = running.stop(Duration::from_secs(5)).await;
            assert_eq!(report.redriven, 3, "from {from} to {to}: {report:?}");
        }
    }
    wall.set(0);
}

/// Letters that a process with a clock ahead has parked are all sent.
pub async fn redrives_letters_dated_ahead(queue: &DeadLetterQueue, letters: u64) {
    let sent = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let service = {
        let sent = Arc::clone(&sent);
        service_fn(move |_: u32| {
            sent.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            async { Ok::<_, BoxError>(()) }
        })
    };
    assert_eq!(queue.redrive(service.clone(), Redrive::all().dry_run(true)).await.unwrap().matched, letters);
    // The limit applies to letters that are dated ahead, too.
    let some = Redrive::only(LetterFilter::all().limit(2));
    assert_eq!(queue.redrive(service.clone(), some).await.unwrap().redriven, 2.min(letters));
    let report = queue.redrive(service, Redrive::all()).await.unwrap();
    assert_eq!(report.redriven, letters.saturating_sub(2), "{report:?}");
    assert_eq!(sent.load(std::sync::atomic::Ordering::SeqCst), letters);
}

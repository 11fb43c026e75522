//! Property 23: a redrive delivers at least once, loses nothing, and keeps its limits.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::dead_letter::{LetterFilter, Redrive, StopReason};
use campanile::{DeadLetterQueue, FailureKind, RejectReason, Rejected};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Mood, MoodyStore, Order, fail, waiting};

async fn queue_of(letters: u32) -> DeadLetterQueue {
    let queue = DeadLetterQueue::in_memory(10_000);
    for number in 1..=letters {
        fail(&queue, number).await;
    }
    queue
}

/// The orders that arrived, and when.
type Seen = Mutex<Vec<(u32, Instant)>>;

/// Records when each order arrives, and fails those that `fails` selects.
fn noting(
    fails: impl Fn(u32) -> bool + Clone,
) -> (impl Service<Order, Response = (), Error = BoxError, Future: Send> + Clone, Arc<Seen>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let service = service_fn(move |order: Order| {
        notes.lock().unwrap().push((order.number, Instant::now()));
        let failed = fails(order.number);
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if failed { Err(BoxError::from(format!("order {} again", order.number))) } else { Ok(()) }
        }
    });
    (service, seen)
}

fn numbers(seen: &Seen) -> Vec<u32> {
    seen.lock().unwrap().iter().map(|(number, _)| *number).collect()
}

#[tokio::test(start_paused = true)]
async fn p23_letters_are_sent_in_order_and_removed_when_they_succeed() {
    let queue = queue_of(600).await;
    let (service, seen) = noting(|_| false);
    let report = queue.redrive(service, Redrive::all()).await.unwrap();
    assert_eq!((report.matched, report.redriven, report.failed, report.stopped), (600, 600, 0, None));
    assert_eq!(numbers(&seen), (1..=600).collect::<Vec<_>>());
    assert!(queue.is_empty().await.unwrap());
    assert_eq!((queue.snapshot().redriven, queue.snapshot().waiting), (600, 0));
}

#[tokio::test(start_paused = true)]
async fn p23_a_letter_that_fails_again_stays_with_its_history() {
    let queue = queue_of(3).await;
    let before = queue.list(LetterFilter::all()).await.unwrap();
    let (service, _) = noting(|number| number == 2);
    let report = queue.redrive(service.clone(), Redrive::all()).await.unwrap();
    assert_eq!((report.redriven, report.failed, report.stopped), (2, 1, None));
    queue.redrive(service, Redrive::all()).await.unwrap();

    let letters = queue.list(LetterFilter::all()).await.unwrap();
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((letter.id, letter.first_failed), (before[1].id, before[1].first_failed));
    assert_eq!((letter.message.as_str(), letter.tries), ("order 2 again", 3));
    let history: Vec<_> =
        letter.attempts.iter().map(|attempt| (attempt.message.as_str(), attempt.redrive)).collect();
    assert_eq!(history, [("order 2 refused", false), ("order 2 again", true), ("order 2 again", true)]);
    assert!(letter.last_failed > letter.first_failed);
    assert_eq!(letter.attempts[1].took, Some(Duration::from_millis(1)));
    assert_eq!(queue.snapshot().redrive_failures, 2);
}

#[tokio::test(start_paused = true)]
async fn the_history_is_bounded_and_keeps_the_first() {
    let queue = queue_of(1).await;
    let (service, _) = noting(|_| true);
    for _ in 0..50 {
        queue.redrive(service.clone(), Redrive::all().set_aside_after(0)).await.unwrap();
    }
    let letter = queue.list(LetterFilter::all()).await.unwrap().remove(0);
    assert_eq!((letter.tries, letter.attempts.len()), (51, 32));
    assert_eq!(letter.attempts[0].message, "order 1 refused");
}

#[tokio::test(start_paused = true)]
async fn p23_a_redrive_stops_after_failures_in_a_row() {
    let queue = queue_of(50).await;
    let (service, seen) = noting(|number| number > 5);
    let report = queue.redrive(service, Redrive::all().stop_after(3)).await.unwrap();
    assert_eq!(report.stopped, Some(StopReason::Failures(3)));
    assert_eq!((report.redriven, report.failed), (5, 3));
    assert_eq!(numbers(&seen), (1..=8).collect::<Vec<_>>());
    assert_eq!(queue.len().await.unwrap(), 45);
}

#[tokio::test(start_paused = true)]
async fn p23_a_redrive_keeps_to_its_rate_and_concurrency() {
    let queue = queue_of(100).await;
    let (service, seen) = noting(|_| false);
    let began = Instant::now();
    queue.redrive(service, Redrive::all().rate(50).concurrency(8)).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(99 * 20), "{:?}", began.elapsed());
    let seen = seen.lock().unwrap();
    assert!(seen.windows(2).all(|pair| pair[1].1 - pair[0].1 >= Duration::from_millis(20)));
    assert!(began.elapsed() < Duration::from_millis(99 * 22), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn p23_no_more_letters_are_sent_at_once_than_allowed() {
    let queue = queue_of(100).await;
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let service = {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        service_fn(move |order: Order| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(u64::from(order.number % 7))).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, BoxError>(())
            }
        })
    };
    // A smaller limit inside of the service must not block the redrive.
    let limited = ServiceBuilder::new().concurrency_limit(3).service(service.clone());
    let report =
        queue.redrive(limited, Redrive::only(LetterFilter::all().limit(50)).concurrency(16)).await.unwrap();
    assert_eq!((report.redriven, most.swap(0, Ordering::SeqCst)), (50, 3));
    let report = queue.redrive(service, Redrive::all().concurrency(16)).await.unwrap();
    assert_eq!((report.redriven, most.load(Ordering::SeqCst)), (50, 16));
}

#[tokio::test(start_paused = true)]
async fn p23_a_redrive_that_is_killed_midway_loses_nothing() {
    let queue = queue_of(40).await;
    let delivered = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..200 {
        let seen = Arc::clone(&delivered);
        let service = service_fn(move |order: Order| {
            let seen = Arc::clone(&seen);
            async move {
                tokio::time::sleep(Duration::from_millis(3)).await;
                seen.lock().unwrap().push(order.number);
                Ok::<_, BoxError>(())
            }
        });
        let cut = Duration::from_micros(cut_time());
        let _ = tokio::time::timeout(cut, queue.redrive(service, Redrive::all().concurrency(4))).await;
        let delivered = delivered.lock().unwrap().clone();
        let waits = waiting(&queue).await;
        assert!((1..=40).all(|number| delivered.contains(&number) || waits.contains(&u64::from(number))));
        if waits.is_empty() {
            break;
        }
    }
    assert!(queue.is_empty().await.unwrap(), "it never came to an end");
}

/// Different times to cancel at, the same in each run.
fn cut_time() -> u64 {
    static STATE: AtomicU32 = AtomicU32::new(1);
    let state = STATE.load(Ordering::SeqCst).wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    STATE.store(state, Ordering::SeqCst);
    u64::from(state % 9_000)
}

#[tokio::test(start_paused = true)]
async fn p23_an_open_breaker_pauses_the_redrive_without_an_attempt() {
    let queue = queue_of(10).await;
    let opens_at = Instant::now() + Duration::from_secs(12);
    let sent = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&sent);
    let service = service_fn(move |order: Order| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            if order.number > 4 && Instant::now() < opens_at {
                let error = Rejected::new("payments", RejectReason::Open, Some(Duration::from_secs(5)));
                return Err(BoxError::from(error));
            }
            Ok(())
        }
    });
    let report = queue.redrive(service, Redrive::all().stop_after(1)).await.unwrap();
    assert_eq!((report.redriven, report.failed, report.stopped), (10, 0, None));
    assert_eq!(report.paused, Duration::from_secs(15));
    assert_eq!(sent.load(Ordering::SeqCst), 13);
    assert_eq!(queue.snapshot().redrive_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn p23_a_breaker_that_stays_open_ends_the_redrive() {
    let queue = queue_of(10).await;
    let before = queue.list(LetterFilter::all()).await.unwrap();
    let wait = Duration::from_secs(7);
    let service = service_fn(move |_: Order| async move {
        Err::<(), BoxError>(Rejected::new("payments", RejectReason::Open, Some(wait)).into())
    });
    let began = Instant::now();
    let redrive = Redrive::all().concurrency(4).max_pause(Duration::from_secs(20));
    let report = queue.redrive(service, redrive).await.unwrap();
    assert_eq!(report.stopped, Some(StopReason::CircuitOpen(Some(wait))));
    assert_eq!((report.failed, report.redriven), (0, 0));
    assert_eq!(began.elapsed(), Duration::from_secs(14));
    let report = queue.redrive(service, Redrive::all().max_pause(Duration::ZERO)).await.unwrap();
    assert_eq!((report.paused, began.elapsed()), (Duration::ZERO, Duration::from_secs(14)));
    assert_eq!(queue.list(LetterFilter::all()).await.unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn p23_through_the_same_stack_a_letter_is_not_parked_twice() {
    let queue = queue_of(3).await;
    let other = queue.named("other");
    let (inner, _) = noting(|_| true);
    let stack = queue.layer().layer(other.layer().layer(inner));
    let report = queue.redrive(stack, Redrive::all()).await.unwrap();
    assert_eq!(report.failed, 3);
    assert_eq!(queue.snapshot().failures, 3);
    assert_eq!(waiting(&queue).await, [1, 2, 3]);
    // An inner queue parks its own letter.
    assert_eq!(waiting(&other).await, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn letters_parked_during_a_redrive_wait_for_the_next() {
    let queue = queue_of(3).await;
    let parks = queue.clone();
    let service = service_fn(move |order: Order| {
        let parks = parks.clone();
        async move {
            fail(&parks, order.number + 100).await;
            Ok::<_, String>(())
        }
    });
    // The nested call is another request in another task, as in a service.
    let spawned = service_fn(move |order: Order| {
        let service = service.clone();
        async move { tokio::spawn(service.oneshot(order)).await.unwrap() }
    });
    let report = queue.redrive(spawned, Redrive::all()).await.unwrap();
    assert_eq!(report.redriven, 3);
    assert_eq!(waiting(&queue).await, [101, 102, 103]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_counts_and_sends_nothing() {
    let queue = queue_of(300).await;
    let (service, seen) = noting(|_| false);
    let report = queue.redrive(service, Redrive::all().dry_run(true)).await.unwrap();
    assert_eq!((report.matched, report.redriven), (300, 0));
    assert!(numbers(&seen).is_empty());
    assert_eq!(queue.len().await.unwrap(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_filter_selects_the_letters_to_send() {
    let queue = queue_of(10).await;
    let letters = queue.list(LetterFilter::all()).await.unwrap();
    let (service, seen) = noting(|_| false);
    let some = LetterFilter::all().after(letters[2].id).up_to(letters[8].id).limit(4);
    queue.redrive(service.clone(), Redrive::only(some)).await.unwrap();
    queue.redrive(service.clone(), Redrive::only(LetterFilter::id(letters[0].id))).await.unwrap();
    queue.redrive(service, Redrive::only(LetterFilter::all().kind(FailureKind::Timeout))).await.unwrap();
    assert_eq!(numbers(&seen), [4, 5, 6, 7, 1]);
}

#[tokio::test(start_paused = true)]
async fn letters_in_memory_are_bounded_by_their_bytes() {
    const LETTERS: u32 = 40;
    let queue = DeadLetterQueue::in_memory(100);
    let fails = queue.layer().layer(service_fn(|_: String| async { Err::<(), _>("no") }));
    for _ in 0..LETTERS {
        assert!(fails.clone().oneshot("x".repeat(300_000)).await.is_err());
    }
    // The last letter may exceed the limit.
    for (bytes, at_once) in [(65_536, 1), (1_000_000, 4), (64 * 1024 * 1024, 32)] {
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let (runs, peak) = (Arc::clone(&running), Arc::clone(&most));
        let service = service_fn(move |_: String| {
            peak.fetch_max(runs.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let runs = Arc::clone(&runs);
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                runs.fetch_sub(1, Ordering::SeqCst);
                Err::<(), BoxError>("no".into())
            }
        });
        let patient = Redrive::all().concurrency(32).stop_after(100).stop_at_failure_rate(1.0, 100);
        let report = queue.redrive(service, patient.max_bytes(bytes)).await.unwrap();
        assert_eq!((report.failed, most.load(Ordering::SeqCst)), (u64::from(LETTERS), at_once), "{bytes}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_service_is_a_failed_attempt() {
    let queue = queue_of(2).await;
    let service = service_fn(|order: Order| {
        assert_ne!(order.number, 1, "one");
        async move {
            assert_ne!(order.number, 2, "two");
            Ok::<_, BoxError>(())
        }
    });
    let report = queue.redrive(service, Redrive::all()).await.unwrap();
    assert_eq!(report.failed, 2);
    let letters = queue.list(LetterFilter::all().kind(FailureKind::Panic)).await.unwrap();
    assert!(letters[0].message.contains("one") && letters[1].message.contains("two"));
}

#[tokio::test(start_paused = true)]
async fn a_letter_of_another_type_is_skipped() {
    let queue = queue_of(2).await;
    let service = service_fn(|_: Vec<u8>| async { Ok::<_, BoxError>(()) });
    let report = queue.redrive(service, Redrive::all()).await.unwrap();
    assert_eq!((report.skipped, queue.len().await.unwrap()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_poll_ready_ends_the_redrive() {
    let queue = queue_of(2).await;
    let (service, mut handle) = tower_test::mock::pair::<Order, ()>();
    handle.send_error("gone for good");
    let report = queue.redrive(service, Redrive::all()).await.unwrap();
    assert_eq!(report.stopped, Some(StopReason::NotReady("gone for good".to_owned())));
    assert_eq!(queue.len().await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_remove_letters_ends_the_redrive() {
    let store = MoodyStore::new(Mood::Fine);
    let queue = DeadLetterQueue::builder("orders").on(store.clone()).unwrap();
    for number in 1..=3 {
        fail(&queue, number).await;
    }
    store.settles.store(false, Ordering::SeqCst);
    let (service, seen) = noting(|_| false);
    let error = queue.redrive(service.clone(), Redrive::all()).await.unwrap_err();
    assert!(error.to_string().contains("the disk is on fire"), "{error}");
    assert_eq!((numbers(&seen), waiting(&queue).await), (vec![1], vec![1, 2, 3]));
    store.settles.store(true, Ordering::SeqCst);
    // Their release could not be recorded. They can be claimed when the lease is over.
    let report = queue.redrive(service.clone(), Redrive::all()).await.unwrap();
    assert_eq!((report.matched, report.held), (0, 3));
    tokio::time::sleep(Duration::from_secs(30)).await;
    queue.redrive(service, Redrive::all()).await.unwrap();
    assert_eq!(numbers(&seen), [1, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_redrive_can_be_spawned_and_a_letter_purged_meanwhile_stays_gone() {
    let queue = queue_of(1).await;
    let purged = AtomicBool::new(false);
    let purges = queue.clone();
    let service = service_fn(move |_: Order| {
        let purges = purges.clone();
        assert!(!purged.swap(true, Ordering::SeqCst));
        async move {
            purges.purge(LetterFilter::all()).await.unwrap();
            Err::<(), BoxError>("failed".into())
        }
    });
    let running = {
        let queue = queue.clone();
        tokio::spawn(async move { queue.redrive(service, Redrive::all()).await })
    };
    assert_eq!(running.await.unwrap().unwrap().failed, 1);
    assert!(queue.is_empty().await.unwrap());
}

//! Redrives in the background, which send each letter when it is due.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::dead_letter::{LetterFilter, Redrive, RedriveState};
use campanile::{Backoff, DeadLetterQueue, Jitter, RejectReason, Rejected};
use tokio::time::{Instant, sleep};
use tower::{BoxError, Layer, Service, service_fn};

use crate::support::{Mood, MoodyStore, Order, fail, waiting};

const SECOND: Duration = Duration::from_secs(1);

/// 10 s, 20 s, 40 s and so on.
fn exact() -> Backoff {
    Backoff::exponential(10 * SECOND, 3_600 * SECOND).jitter(Jitter::None)
}

type Seen = Arc<Mutex<Vec<(u32, Duration)>>>;

/// Records when each order arrives, as time since the start, and fails those that `fails` selects.
fn noting(
    fails: impl Fn(u32) -> bool + Clone + Send + 'static,
) -> (impl Service<Order, Response = (), Error = BoxError, Future: Send> + Clone + Send + 'static, Seen) {
    let seen = Seen::default();
    let (notes, began) = (Arc::clone(&seen), Instant::now());
    let service = service_fn(move |order: Order| {
        notes.lock().unwrap().push((order.number, began.elapsed()));
        let failed = fails(order.number);
        async move { if failed { Err(BoxError::from("no")) } else { Ok(()) } }
    });
    (service, seen)
}

fn at(seen: &Seen, number: u32) -> Vec<f64> {
    let seen = seen.lock().unwrap();
    let at = seen.iter().filter(|(order, _)| *order == number).map(|(_, at)| at.as_secs_f64());
    at.collect()
}

fn assert_near(at: &[f64], expected: &[f64]) {
    // Letters that are due within 100 ms are sent together, and each wait starts when the last one ended.
    let near = |(at, expected): (&f64, &f64)| *at >= *expected && *at <= expected + 0.5;
    assert!(at.len() == expected.len() && at.iter().zip(expected).all(near), "{at:?}, not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn each_letter_waits_longer_with_each_failure() {
    let queue = DeadLetterQueue::in_memory(100);
    let (service, seen) = noting(|number| number == 2);
    let settings = Redrive::all().backoff(exact()).set_aside_after(4);
    let running = queue.redrive_automatically(service, settings).unwrap();
    fail(&queue, 1).await;
    fail(&queue, 2).await;
    sleep(3 * SECOND).await;
    fail(&queue, 3).await;
    sleep(4_000 * SECOND).await;
    assert_near(&at(&seen, 1), &[10.0]);
    assert_near(&at(&seen, 2), &[10.0, 30.0, 70.0, 150.0]);
    assert_near(&at(&seen, 3), &[13.0]);
    let letter = queue.list(LetterFilter::all()).await.unwrap().remove(0);
    assert!(letter.set_aside && letter.tries == 5);
    let report = running.stop(SECOND).await;
    assert_eq!((report.redriven, report.failed, report.set_aside), (2, 4, 1));
}

#[tokio::test(start_paused = true)]
async fn earlier_letters_are_sent_at_once_and_those_of_others_at_the_interval() {
    let queue = DeadLetterQueue::in_memory(100);
    fail(&queue, 1).await;
    let (service, seen) = noting(|_| false);
    let settings = Redrive::all().interval(20 * SECOND);
    let running = queue.redrive_automatically(service, settings).unwrap();
    sleep(SECOND).await;
    fail(&queue.named(queue.name()), 2).await;
    sleep(100 * SECOND).await;
    assert_near(&at(&seen, 1), &[0.0]);
    assert_near(&at(&seen, 2), &[20.0]);
    assert_eq!(queue.redrives().len(), 1);
    drop(running);
    sleep(SECOND).await;
    assert!(queue.redrives().is_empty());
    fail(&queue, 3).await;
    sleep(1_000 * SECOND).await;
    assert_eq!(waiting(&queue).await, [3]);
}

#[tokio::test(start_paused = true)]
async fn two_background_redrives_send_no_letter_twice() {
    let queue = DeadLetterQueue::in_memory(1_000);
    let other = queue.named(queue.name());
    let (service, seen) = noting(|_| false);
    let settings = Redrive::all().backoff(exact()).interval(SECOND);
    let running =
        [&queue, &other].map(|queue| queue.redrive_automatically(service.clone(), settings.clone()).unwrap());
    for number in 0..400 {
        fail(if number % 2 == 0 { &queue } else { &other }, number).await;
        sleep(Duration::from_millis(30)).await;
    }
    sleep(30 * SECOND).await;
    let mut numbers: Vec<u32> = seen.lock().unwrap().iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..400).collect::<Vec<_>>());
    let done: Vec<u64> = running.iter().map(|running| running.progress().so_far.redriven).collect();
    assert_eq!(done.iter().sum::<u64>(), 400);
}

#[tokio::test(start_paused = true)]
async fn p23_an_open_circuit_is_probed_with_one_letter_and_none_is_claimed() {
    let queue = DeadLetterQueue::in_memory(100);
    for number in 1..=20 {
        fail(&queue, number).await;
    }
    let (asked, open) = (Arc::new(AtomicU32::new(0)), Instant::now() + 50 * SECOND);
    let service = service_fn({
        let asked = Arc::clone(&asked);
        move |_: Order| {
            asked.fetch_add(1, Ordering::SeqCst);
            async move {
                if Instant::now() < open {
                    let wait = Some(20 * SECOND);
                    return Err(BoxError::from(Rejected::new("payments", RejectReason::Open, wait)));
                }
                Ok(())
            }
        }
    });
    let running = queue.redrive_automatically(service, Redrive::all()).unwrap();
    sleep(SECOND).await;
    assert!(matches!(running.progress().state, RedriveState::Paused { .. }));
    // Another redrive may send the letters meanwhile.
    let other = queue.named(queue.name());
    let fine = service_fn(|_: Order| async { Ok::<_, BoxError>(()) });
    let report = other.redrive(fine, Redrive::only(LetterFilter::all().limit(5))).await.unwrap();
    assert_eq!((report.redriven, report.held), (5, 0));
    sleep(58 * SECOND).await;
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    sleep(2 * SECOND).await;
    let report = running.stop(SECOND).await;
    assert_eq!((report.redriven, report.failed), (15, 0));
    assert_eq!(report.paused, 60 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_background_redrive_rests_after_failures_in_a_row() {
    let queue = DeadLetterQueue::in_memory(100);
    for number in 1..=30 {
        fail(&queue, number).await;
    }
    let (service, seen) = noting(|_| true);
    let settings = Redrive::all().backoff(exact()).stop_after(10);
    let running = queue.redrive_automatically(service, settings).unwrap();
    sleep(9 * SECOND).await;
    assert_eq!(seen.lock().unwrap().len(), 30);
    // The rest after the first ten takes one second with jitter, the next takes two.
    assert!((0.5..=1.1).contains(&at(&seen, 11)[0]), "{:?}", at(&seen, 11));
    assert!((1.5..=3.2).contains(&at(&seen, 21)[0]), "{:?}", at(&seen, 21));
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_tried_again() {
    let store = MoodyStore::new(Mood::Fine);
    let queue = DeadLetterQueue::builder("orders").on(store.clone()).unwrap();
    fail(&queue, 1).await;
    store.settles.store(false, Ordering::SeqCst);
    let (service, seen) = noting(|_| false);
    let settings = Redrive::all().lease(SECOND);
    let running = queue.redrive_automatically(service, settings).unwrap();
    sleep(30 * SECOND).await;
    assert!(!running.is_finished());
    store.settles.store(true, Ordering::SeqCst);
    sleep(61 * SECOND).await;
    assert!(queue.is_empty().await.unwrap());
    let tries = seen.lock().unwrap().len();
    assert!((3..=8).contains(&tries), "{tries}");
    assert_eq!(running.stop(SECOND).await.redriven, 1);
}

#[tokio::test(start_paused = true)]
async fn a_background_redrive_ends_with_its_queue() {
    let queue = DeadLetterQueue::in_memory(100);
    let (service, _) = noting(|_| false);
    let running = queue.redrive_automatically(service, Redrive::all()).unwrap();
    sleep(SECOND).await;
    assert!(!running.is_finished());
    drop(queue);
    sleep(6 * SECOND).await;
    assert!(running.is_finished());
}

#[tokio::test(start_paused = true)]
async fn stop_waits_for_calls_in_progress_within_its_limit() {
    for (takes, redriven) in [(5, 1), (50, 0)] {
        let queue = DeadLetterQueue::in_memory(100);
        for number in 1..=3 {
            fail(&queue, number).await;
        }
        let slow = service_fn(move |_: Order| async move {
            sleep(takes * SECOND).await;
            Ok::<_, BoxError>(())
        });
        let running = queue.redrive_automatically(slow, Redrive::all()).unwrap();
        sleep(SECOND).await;
        let began = Instant::now();
        let report = running.stop(10 * SECOND).await;
        assert_eq!(report.redriven, redriven);
        assert!(began.elapsed() <= 10 * SECOND, "{:?}", began.elapsed());
        sleep(SECOND).await;
        // The cancelled letter can be claimed by the next redrive.
        let fine = service_fn(|_: Order| async { Ok::<_, BoxError>(()) });
        let report = queue.redrive(fine, Redrive::all()).await.unwrap();
        assert_eq!((report.redriven, report.held), (3 - redriven, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn p20_a_letter_that_fails_in_its_own_queues_layer_is_not_parked_again() {
    let queue = DeadLetterQueue::in_memory(100);
    fail(&queue, 1).await;
    let (service, seen) = noting(|_| true);
    let settings = Redrive::all().backoff(exact());
    let running = queue.redrive_automatically(queue.layer().layer(service), settings).unwrap();
    sleep(25 * SECOND).await;
    assert_eq!(seen.lock().unwrap().len(), 2);
    assert_eq!((queue.snapshot().failures, queue.len().await.unwrap()), (1, 1));
    drop(running);
}

#[tokio::test]
async fn settings_are_read_and_checked() {
    let read: Redrive = serde_json::from_str(
        r#"{ "rate": 20, "backoff": { "first": "10s", "max": "1h", "jitter": "none" }, "interval": "30s" }"#,
    )
    .unwrap();
    assert_eq!(read, Redrive::all().rate(20).backoff(exact()).interval(30 * SECOND));
    assert!(serde_json::from_str::<Redrive>(r#"{ "intervall": "30s" }"#).is_err());
    let queue = DeadLetterQueue::in_memory(10);
    let wrong = [
        (Redrive::all().interval(Duration::ZERO), "interval"),
        (Redrive::all().lease(Duration::ZERO), "lease"),
        (Redrive::all().backoff(Backoff::constant(Duration::ZERO)), "backoff"),
        (Redrive::all().stop_after(0), "stop_after"),
        (Redrive::all().concurrency(0), "concurrency"),
    ];
    for (settings, name) in wrong {
        let error = queue.redrive_automatically(noting(|_| false).0, settings).unwrap_err();
        assert!(error.is_setting() && error.to_string().contains(name), "{error}");
    }
}

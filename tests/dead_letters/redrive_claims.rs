//! Properties 23 and 25: several redrives of one queue send no letter twice, and lose none.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::dead_letter::{LetterFilter, Redrive};
use campanile::{DeadLetterQueue, FailureKind};
use tokio::time::{Instant, sleep};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

use crate::support::{Mood, MoodyStore, Order, fail, order, waiting};

const LEASE: Duration = Duration::from_secs(30);

async fn queue_of(letters: u32) -> DeadLetterQueue {
    let queue = DeadLetterQueue::in_memory(10_000);
    for number in 1..=letters {
        fail(&queue, number).await;
    }
    queue
}

/// The queue of another process: it shares only the store.
fn another(queue: &DeadLetterQueue) -> DeadLetterQueue {
    queue.named(queue.name())
}

/// Records each letter when it arrives, and takes `time` for it.
fn slow(
    time: Duration,
) -> (
    impl Service<Order, Response = (), Error = BoxError, Future: Send> + Clone + Send + 'static,
    Arc<Mutex<Vec<u32>>>,
) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let service = service_fn(move |order: Order| {
        notes.lock().unwrap().push(order.number);
        async move {
            sleep(time).await;
            Ok(())
        }
    });
    (service, seen)
}

#[tokio::test(start_paused = true)]
async fn p25_concurrent_redrives_share_the_letters() {
    let queue = queue_of(2_000).await;
    let (service, seen) = slow(Duration::from_millis(3));
    let runs = [queue.clone(), another(&queue), another(&queue)].map(|queue| {
        let service = service.clone();
        tokio::spawn(async move { queue.redrive(service, Redrive::all().concurrency(4)).await })
    });
    let mut redriven = Vec::new();
    for run in runs {
        let report = run.await.unwrap().unwrap();
        assert_eq!((report.failed, report.skipped, report.stopped), (0, 0, None));
        assert_eq!(report.redriven + report.held, 2_000);
        redriven.push(report.redriven);
    }
    assert!(redriven.iter().all(|redriven| *redriven > 400), "{redriven:?}");
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!(seen, (1..=2_000).collect::<Vec<_>>());
    assert!(queue.is_empty().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn p25_claims_are_renewed_for_as_long_as_a_redrive_takes() {
    let queue = queue_of(5).await;
    let (service, seen) = slow(Duration::from_secs(100));
    let began = Instant::now();
    let run = tokio::spawn({
        let (queue, service) = (queue.clone(), service.clone());
        async move { queue.redrive(service, Redrive::all()).await }
    });
    while began.elapsed() < Duration::from_secs(495) {
        sleep(Duration::from_millis(7_300)).await;
        let report = another(&queue).redrive(service.clone(), Redrive::all()).await.unwrap();
        assert_eq!(report.redriven, 0, "{:?}", began.elapsed());
    }
    assert_eq!(run.await.unwrap().unwrap().redriven, 5);
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn p23_a_redrive_that_is_dropped_releases_its_claims() {
    let queue = queue_of(100).await;
    let (service, seen) = slow(Duration::from_millis(10));
    let cut = tokio::time::timeout(Duration::from_millis(95), queue.redrive(service.clone(), Redrive::all()));
    assert!(cut.await.is_err());
    assert_eq!(seen.lock().unwrap().len(), 10);
    let began = Instant::now();
    let report = queue.redrive(service, Redrive::all()).await.unwrap();
    assert_eq!((report.redriven, report.held), (91, 0));
    assert_eq!(began.elapsed(), Duration::from_millis(910));
    let all: Vec<u32> = (1..=10).chain(10..=100).collect();
    assert_eq!(*seen.lock().unwrap(), all);
}

#[tokio::test(start_paused = true)]
async fn p23_the_letters_of_a_dead_process_wait_for_the_end_of_its_lease() {
    let queue = queue_of(10).await;
    let began = Instant::now();
    let (service, _) = slow(Duration::from_millis(10));
    // A run that is never polled again and never dropped behaves like a dead process.
    let dead = Box::leak(Box::new(Box::pin(queue.redrive(service.clone(), Redrive::all().lease(LEASE)))));
    assert!(tokio::time::timeout(Duration::from_millis(35), dead).await.is_err());
    let report = another(&queue).redrive(service.clone(), Redrive::all()).await.unwrap();
    assert_eq!((report.redriven, report.held), (0, 7));
    sleep(LEASE - Duration::from_millis(1) - began.elapsed()).await;
    let report = another(&queue).redrive(service.clone(), Redrive::all()).await.unwrap();
    assert_eq!(report.redriven, 0);
    sleep(Duration::from_millis(2)).await;
    let report = another(&queue).redrive(service, Redrive::all()).await.unwrap();
    assert_eq!((report.redriven, report.held), (7, 0));
}

#[tokio::test(start_paused = true)]
async fn p25_a_run_that_missed_its_lease_does_not_send_letters_claimed_by_another() {
    let store = MoodyStore::new(Mood::Fine);
    let queue = DeadLetterQueue::builder("orders").on(store.clone()).unwrap();
    for number in 1..=6 {
        fail(&queue, number).await;
    }
    let (service, seen) = slow(Duration::from_millis(10));
    let mut sleeper = Box::pin(queue.redrive(service.clone(), Redrive::all().lease(LEASE)));
    assert!(tokio::time::timeout(Duration::from_millis(25), &mut sleeper).await.is_err());
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3]);
    sleep(LEASE).await;
    // When it continues, it does not learn at once that its lease is over.
    store.renew_time(Duration::from_millis(50));
    let report = another(&queue).redrive(service, Redrive::all()).await.unwrap();
    // The letter that was being sent when the first run was suspended is sent twice: its result is unknown.
    assert_eq!(report.redriven, 4);
    let report = sleeper.await.unwrap();
    assert_eq!((report.redriven, report.held), (3, 3));
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3, 3, 4, 5, 6]);
    assert!(queue.is_empty().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn unsent_letters_are_released_when_the_run_ends() {
    let queue = queue_of(50).await;
    let failing = service_fn(|_: Order| async { Err::<(), BoxError>("no".into()) });
    let report = queue.redrive(failing, Redrive::all().stop_after(3)).await.unwrap();
    assert_eq!(report.failed, 3);
    let (service, _) = slow(Duration::ZERO);
    let report = another(&queue).redrive(service, Redrive::all()).await.unwrap();
    assert_eq!((report.redriven, report.held), (50, 0));
}

#[tokio::test(start_paused = true)]
async fn p23_a_redrive_ends_only_when_its_results_are_recorded() {
    let store = MoodyStore::new(Mood::Fine);
    let queue = DeadLetterQueue::builder("orders").on(store.clone()).unwrap();
    for number in 1..=200 {
        fail(&queue, number).await;
    }
    store.settle_time(Duration::from_millis(100));
    let (service, seen) = slow(Duration::from_millis(1));
    let began = Instant::now();
    let report = queue.redrive(service, Redrive::all()).await.unwrap();
    assert_eq!(report.redriven, 200);
    assert!(queue.is_empty().await.unwrap());
    // Letters are sent while results are recorded. Only the last write adds time.
    assert!(began.elapsed() <= Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!(*seen.lock().unwrap(), (1..=200).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn p23_unrecorded_results_are_bounded() {
    let store = MoodyStore::new(Mood::Fine);
    let queue = DeadLetterQueue::builder("orders").on(store.clone()).unwrap();
    for number in 1..=3_000 {
        fail(&queue, number).await;
    }
    store.settle_time(Duration::from_secs(10));
    let sent = Arc::new(AtomicU32::new(0));
    let service = service_fn({
        let sent = Arc::clone(&sent);
        move |_: Order| {
            sent.fetch_add(1, Ordering::SeqCst);
            async { Ok::<_, BoxError>(()) }
        }
    });
    let cut = tokio::time::timeout(Duration::from_secs(19), queue.redrive(service, Redrive::all()));
    assert!(cut.await.is_err());
    let (sent, waiting) = (sent.load(Ordering::SeqCst), waiting(&queue).await.len() as u32);
    assert!(sent >= 500 && sent - (3_000 - waiting) <= 1_024, "{sent} were sent, {waiting} wait");
}

#[tokio::test(start_paused = true)]
async fn a_filter_can_select_letters_that_are_set_aside() {
    let queue = queue_of(4).await;
    let first = queue.list(LetterFilter::all().limit(1)).await.unwrap()[0].id;
    let failing = service_fn(|_: Order| async { Err::<(), BoxError>("no".into()) });
    let one = Redrive::only(LetterFilter::id(first)).set_aside_after(1);
    assert_eq!(queue.redrive(failing, one).await.unwrap().set_aside, 1);
    assert_eq!(queue.snapshot().set_aside, 1);
    let (service, seen) = slow(Duration::ZERO);
    assert_eq!(queue.redrive(service.clone(), Redrive::all()).await.unwrap().matched, 3);
    let aside = Redrive::only(LetterFilter::all().set_aside(true));
    assert_eq!(queue.redrive(service, aside).await.unwrap().redriven, 1);
    assert_eq!(*seen.lock().unwrap(), [2, 3, 4, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_filter_selects_by_cause_component_kind_and_age() {
    let queue = DeadLetterQueue::builder("orders").component("payments").build().unwrap();
    for (number, message) in [(1, "no route"), (2, "no route"), (3, "refused")] {
        let failing = service_fn(move |_: Order| async move { Err::<(), BoxError>(message.into()) });
        queue.layer().layer(failing).oneshot(order(number)).await.unwrap_err();
        sleep(Duration::from_secs(60)).await;
    }
    let letters = queue.list(LetterFilter::all()).await.unwrap();
    let (service, seen) = slow(Duration::ZERO);
    let cause = letters[0].fingerprint;
    let dry = Redrive::only(LetterFilter::all().fingerprint(cause)).dry_run(true);
    assert_eq!(queue.redrive(service.clone(), dry).await.unwrap().matched, 2);
    for (filter, expected) in [
        (LetterFilter::all().component("mail"), &[][..]),
        (LetterFilter::all().kind(FailureKind::Timeout), &[]),
        (LetterFilter::older_than(Duration::from_secs(150)), &[1]),
        (LetterFilter::all().fingerprint(cause).component("payments"), &[1, 2]),
        (LetterFilter::all().newer_than(Duration::from_secs(90)).kind(FailureKind::Error), &[1, 2, 3]),
    ] {
        let report = queue.redrive(service.clone(), Redrive::only(filter.clone())).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), expected, "{filter:?}");
        assert_eq!(report.held, 0);
    }
    assert!(queue.is_empty().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn expired_letters_are_neither_sent_nor_counted_as_held() {
    let store = MoodyStore::new(Mood::Fine);
    let queue = DeadLetterQueue::builder("orders").expire_after(Duration::from_secs(1)).on(store).unwrap();
    fail(&queue, 1).await;
    sleep(Duration::from_millis(1_500)).await;
    fail(&queue, 2).await;
    let (service, seen) = slow(Duration::ZERO);
    let report = queue.redrive(service, Redrive::all()).await.unwrap();
    assert_eq!((report.matched, report.held), (1, 0));
    assert_eq!(*seen.lock().unwrap(), [2]);
}

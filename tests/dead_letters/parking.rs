//! Properties 20 and 21: each final failure is parked once, and no store affects the caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use campanile::dead_letter::{DropReason, LetterFilter, WhenFull};
use campanile::{DeadLetterQueue, FailureKind, Outcome, RejectReason, Rejected};
use serde::de::Deserializer;
use serde::ser::{Error, Serializer};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Mood, MoodyStore, Order, assert_accounted, call, fail, order, waiting};

const TIMEOUT: Duration = Duration::from_millis(250);

fn moody(mood: Mood) -> DeadLetterQueue {
    DeadLetterQueue::builder("orders").park_timeout(TIMEOUT).on(MoodyStore::new(mood)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn p20_a_failure_is_parked_before_its_caller_sees_it() {
    let queue = DeadLetterQueue::in_memory(100);
    for number in 1..=3 {
        let error = fail(&queue, number).await;
        assert_eq!(error.to_string(), format!("order {number} refused"));
        // Checked without a wait.
        assert_accounted(&queue, number.into(), number.into(), None);
    }
    assert_eq!(waiting(&queue).await, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_polled_after_its_end_panics() {
    for succeeds in [true, false] {
        let queue = DeadLetterQueue::in_memory(100);
        let service = service_fn(move |_: Order| async move {
            if succeeds { Ok(()) } else { Err(BoxError::from("refused")) }
        });
        let mut call = Box::pin(queue.layer().layer(service).call(order(1)));
        assert_eq!((&mut call).await.is_ok(), succeeds);
        let again = tokio::spawn(async move { call.await.is_ok() }).await.unwrap_err();
        let panic = again.into_panic();
        assert_eq!(
            panic.downcast_ref::<&str>().copied(),
            Some("`DeadLetterFuture` polled after it completed")
        );
        assert_accounted(&queue, u64::from(!succeeds), u64::from(!succeeds), None);
    }
}

#[tokio::test(start_paused = true)]
async fn p20_a_request_is_parked_once_after_the_last_attempt() {
    #[derive(Clone)]
    struct Thrice;
    impl tower::retry::Policy<Order, (), BoxError> for Thrice {
        type Future = std::future::Ready<()>;
        fn retry(&mut self, _: &mut Order, result: &mut Result<(), BoxError>) -> Option<Self::Future> {
            let again = result.as_ref().is_err_and(|error| !error.to_string().contains("attempt 3"));
            again.then(|| std::future::ready(()))
        }
        fn clone_request(&mut self, order: &Order) -> Option<Order> {
            Some(order.clone())
        }
    }
    let queue = DeadLetterQueue::in_memory(100);
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    let service = ServiceBuilder::new()
        .layer(queue.layer())
        .layer(tower::retry::RetryLayer::new(Thrice))
        .service_fn(move |_: Order| {
            let attempt = counted.fetch_add(1, Ordering::SeqCst) + 1;
            async move { Err::<(), BoxError>(format!("attempt {attempt}").into()) }
        });
    service.oneshot(order(7)).await.unwrap_err();
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
    let letters = queue.list(LetterFilter::all()).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].message, "attempt 3");
    assert_accounted(&queue, 1, 1, None);
}

#[tokio::test(start_paused = true)]
async fn p20_concurrent_failures_are_each_parked_once() {
    let queue = DeadLetterQueue::in_memory(10_000);
    let tasks: Vec<_> = (0..500)
        .map(|number| {
            let queue = queue.clone();
            tokio::spawn(async move { fail(&queue, number).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut numbers = waiting(&queue).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (0..500).collect::<Vec<u64>>());
    assert_accounted(&queue, 500, 500, None);
}

#[tokio::test(start_paused = true)]
async fn p20_a_panic_is_parked_and_then_resumed() {
    let queue = DeadLetterQueue::in_memory(100);
    let later = queue.layer().layer(service_fn(|order: Order| async move {
        assert_ne!(order.number, 7, "seven");
        Ok::<_, BoxError>(())
    }));
    let at_once = queue.layer().layer(service_fn(|order: Order| {
        assert_ne!(order.number, 8, "eight");
        async { Ok::<_, BoxError>(()) }
    }));
    let panic = tokio::spawn(later.oneshot(order(7))).await.unwrap_err().into_panic();
    assert!(panic.downcast_ref::<String>().unwrap().contains("seven"));
    assert!(tokio::spawn(at_once.oneshot(order(8))).await.unwrap_err().is_panic());
    assert_eq!(waiting(&queue).await, [7, 8]);
    let letters = queue.list(LetterFilter::all().kind(FailureKind::Panic)).await.unwrap();
    assert_eq!(letters.len(), 2);
    assert!(letters[1].message.contains("eight"));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_is_not_parked() {
    let queue = DeadLetterQueue::in_memory(100);
    let service = queue.layer().layer(service_fn(|_: Order| std::future::pending::<Result<(), BoxError>>()));
    assert!(tokio::time::timeout(TIMEOUT, service.oneshot(order(1))).await.is_err());
    assert_accounted(&queue, 0, 0, None);
}

#[tokio::test(start_paused = true)]
async fn parking_continues_when_the_caller_leaves() {
    let queue = moody(Mood::Slow(TIMEOUT / 2));
    assert!(tokio::time::timeout(TIMEOUT / 4, fail(&queue, 1)).await.is_err());
    assert_eq!(queue.snapshot().parking, 1);
    tokio::time::sleep(TIMEOUT).await;
    assert_accounted(&queue, 1, 1, None);
    assert_eq!(waiting(&queue).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn p21_a_slow_store_delays_the_caller_for_at_most_the_park_timeout() {
    let queue = moody(Mood::Slow(Duration::from_secs(20)));
    let began = Instant::now();
    assert_eq!(fail(&queue, 1).await.to_string(), "order 1 refused");
    let took = began.elapsed();
    assert!(took >= TIMEOUT && took < TIMEOUT + Duration::from_millis(5), "{took:?}");
    let snapshot = queue.snapshot();
    assert_eq!((snapshot.failures, snapshot.parking, snapshot.late), (1, 1, 1));
    // The letter was not dropped with its caller.
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_accounted(&queue, 1, 1, None);
    assert_eq!(waiting(&queue).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn p21_a_letter_for_a_store_that_hangs_is_dropped_once() {
    let queue = moody(Mood::Hangs);
    let began = Instant::now();
    fail(&queue, 1).await;
    assert!(began.elapsed() < TIMEOUT + Duration::from_millis(5));
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_accounted(&queue, 1, 0, Some((DropReason::Timeout, 1)));
}

#[tokio::test(start_paused = true)]
async fn p21_letters_on_their_way_are_bounded_by_their_bytes() {
    let hangs = || DeadLetterQueue::builder("orders").park_timeout(TIMEOUT).max_parking_bytes(65_536);
    let queue = hangs().on(MoodyStore::new(Mood::Hangs)).unwrap();
    let service = queue.layer().layer(service_fn(|_: String| async { Err::<(), _>("refused") }));
    let send = async |bytes: usize, times: u64| {
        for _ in 0..times {
            service.clone().oneshot("x".repeat(bytes)).await.unwrap_err();
        }
        let snapshot = queue.snapshot();
        (snapshot.parking, snapshot.parking_bytes, snapshot.dropped(DropReason::Busy))
    };
    // Each has 10,000 bytes and the facts about the failure.
    let (parking, bytes, busy) = send(10_000, 20).await;
    assert_eq!((parking, busy), (6, 14));
    assert!((60_000..=65_536).contains(&bytes), "{bytes}");
    // A small one still fits.
    assert_eq!(send(10, 1).await.0, 7);
    tokio::time::sleep(Duration::from_secs(31)).await;
    let snapshot = queue.snapshot();
    assert_eq!((snapshot.parking, snapshot.parking_bytes), (0, 0));
    assert_eq!((snapshot.failures, snapshot.dropped(DropReason::Timeout)), (21, 7));

    // A single letter may have any size, but then no other fits.
    let (parking, bytes, busy) = send(100_000, 2).await;
    assert!((parking, busy) == (1, 15) && bytes > 100_000, "{parking} {bytes} {busy}");
    let queue = hangs().on(MoodyStore::new(Mood::Fine)).unwrap();
    let service = queue.layer().layer(service_fn(|_: String| async { Err::<(), _>("refused") }));
    for _ in 0..20 {
        service.clone().oneshot("x".repeat(10_000)).await.unwrap_err();
    }
    assert_eq!((queue.snapshot().parked, queue.snapshot().parking_bytes), (20, 0));
}

#[test]
fn p20_a_letter_that_is_dropped_with_its_runtime_is_counted_and_frees_its_bytes() {
    let queue = moody(Mood::Hangs);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(fail(&queue, 1));
    let snapshot = queue.snapshot();
    assert!(snapshot.parking == 1 && snapshot.parking_bytes > 0, "{snapshot:?}");
    drop(runtime);
    assert_accounted(&queue, 1, 0, Some((DropReason::Runtime, 1)));
}

#[tokio::test(start_paused = true)]
async fn p21_a_store_that_fails_or_panics_does_not_affect_the_caller() {
    for (mood, reason) in [
        (Mood::Fails, DropReason::Store),
        (Mood::PanicsAtOnce, DropReason::Panic),
        (Mood::PanicsLater, DropReason::Panic),
    ] {
        let queue = moody(mood);
        let began = Instant::now();
        for number in 1..=3 {
            assert_eq!(fail(&queue, number).await.to_string(), format!("order {number} refused"));
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_accounted(&queue, 3, 0, Some((reason, 3)));
    }
}

#[tokio::test(start_paused = true)]
async fn p21_a_full_queue_refuses_or_evicts_and_counts_both() {
    let refusing = DeadLetterQueue::in_memory(2);
    let evicting =
        DeadLetterQueue::builder("orders").capacity(2).when_full(WhenFull::DropOldest).build().unwrap();
    for number in 1..=5 {
        assert_eq!(fail(&refusing, number).await.to_string(), format!("order {number} refused"));
        assert_eq!(fail(&evicting, number).await.to_string(), format!("order {number} refused"));
    }
    assert_eq!(waiting(&refusing).await, [1, 2]);
    assert_accounted(&refusing, 5, 2, Some((DropReason::Full, 3)));
    assert_eq!(waiting(&evicting).await, [4, 5]);
    assert_accounted(&evicting, 5, 5, None);
    assert_eq!(evicting.snapshot().evicted, 3);
}

#[derive(Clone)]
struct Unwritable {
    panics: bool,
}

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        assert!(!self.panics, "on purpose");
        Err(S::Error::custom("cannot be written"))
    }
}

impl<'de> Deserialize<'de> for Unwritable {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Ok(Self { panics: false })
    }
}

#[tokio::test(start_paused = true)]
async fn p20_a_request_that_cannot_be_serialized_is_counted() {
    let queue = DeadLetterQueue::in_memory(10);
    for panics in [false, true] {
        let service = queue.layer().layer(service_fn(|_: Unwritable| async { Err::<(), _>("broken") }));
        assert_eq!(service.oneshot(Unwritable { panics }).await.unwrap_err().to_string(), "broken");
    }
    assert_accounted(&queue, 2, 0, Some((DropReason::Unserializable, 2)));
}

#[tokio::test(start_paused = true)]
async fn p12_successful_calls_pass_unchanged() {
    let queue = DeadLetterQueue::in_memory(10);
    let (mut service, mut handle) = tower_test::mock::spawn_layer::<u32, u32, _>(queue.layer());
    handle.allow(0);
    tokio_test::assert_pending!(service.poll_ready());
    handle.allow(1);
    tokio_test::assert_ready_ok!(service.poll_ready());
    let answer = service.call(7);
    let (request, respond) = handle.next_request().await.unwrap();
    assert_eq!(request, 7);
    respond.send_response(8);
    assert_eq!(answer.await.unwrap(), 8);
    assert_accounted(&queue, 0, 0, None);
}

#[tokio::test(start_paused = true)]
async fn the_classifier_decides_what_failed() {
    let queue = DeadLetterQueue::in_memory(10);
    let layer = queue.layer().classify(|result: Result<&u32, &BoxError>| match result {
        Ok(0) => Outcome::Failure(FailureKind::Overload),
        _ => Outcome::Success,
    });
    let mut service =
        layer.layer(service_fn(|n: u32| async move { if n == 9 { Err("nine") } else { Ok(n) } }));
    assert_eq!(call(&mut service, 0).await.unwrap(), 0);
    assert!(call(&mut service, 9).await.is_err());
    let letters = queue.list(LetterFilter::all()).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].kind, FailureKind::Overload);
}

#[tokio::test(start_paused = true)]
async fn a_letter_describes_the_failure() {
    #[derive(Debug)]
    struct Outer(std::io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("cannot reach payments")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let queue = DeadLetterQueue::builder("orders").component("payments").build().unwrap();
    let before = std::time::SystemTime::now() - Duration::from_millis(1);
    for _ in 0..2 {
        let service = queue.layer().layer(service_fn(|_: Order| async {
            Err::<(), _>(Outer(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer")))
        }));
        service.oneshot(order(7)).await.unwrap_err();
    }
    let rejecting = queue
        .layer()
        .layer(service_fn(|_: Order| async { Err::<(), _>(Rejected::new("db", RejectReason::Open, None)) }));
    rejecting.oneshot(order(8)).await.unwrap_err();

    let letters = queue.list(LetterFilter::all()).await.unwrap();
    let first = &letters[0];
    assert_eq!((first.queue.as_str(), first.component.as_str()), ("orders", "payments"));
    assert_eq!((first.kind, first.error_type.as_str()), (FailureKind::Timeout, "Outer"));
    assert_eq!(
        (first.message.as_str(), first.causes.as_slice()),
        ("cannot reach payments", &["no answer".to_owned()][..])
    );
    assert!(first.first_failed >= before && first.last_failed == first.first_failed);
    assert_eq!((first.tries, first.attempts.len()), (1, 1));
    assert!(!first.attempts[0].redrive);
    assert_eq!(first.fingerprint, letters[1].fingerprint);
    assert_ne!(first.fingerprint, letters[2].fingerprint);
    assert_eq!(letters[2].kind, FailureKind::Rejected);
    assert!(first.id < letters[1].id);
    assert_eq!(queue.get(first.id).await.unwrap().as_ref(), Some(first));
    assert!(queue.snapshot().oldest.is_some());
}

#[tokio::test(start_paused = true)]
async fn filters_choose_letters_to_list_and_to_purge() {
    let queue = DeadLetterQueue::in_memory(100);
    for number in 1..=6 {
        fail(&queue, number).await;
    }
    let timed_out = queue.layer().layer(service_fn(|_: Order| async {
        Err::<(), _>(std::io::Error::from(std::io::ErrorKind::TimedOut))
    }));
    timed_out.oneshot(order(7)).await.unwrap_err();

    let letters = queue.list(LetterFilter::all()).await.unwrap();
    let count = async |filter: LetterFilter| queue.list(filter).await.unwrap().len();
    assert_eq!(count(LetterFilter::id(letters[2].id)).await, 1);
    assert_eq!(count(LetterFilter::all().kind(FailureKind::Timeout)).await, 1);
    assert_eq!(count(LetterFilter::all().fingerprint(letters[0].fingerprint)).await, 6);
    assert_eq!(count(LetterFilter::all().component("other")).await, 0);
    assert_eq!(count(LetterFilter::all().component("dead-letters")).await, 7);
    assert_eq!(count(LetterFilter::older_than(Duration::from_secs(3_600))).await, 0);
    assert_eq!(count(LetterFilter::older_than(Duration::ZERO)).await, 7);
    let page = queue.list(LetterFilter::all().after(letters[1].id).limit(2)).await.unwrap();
    assert_eq!(page, letters[2..4]);

    assert_eq!(queue.purge(LetterFilter::all().after(letters[1].id).limit(2)).await.unwrap().purged, 2);
    assert_eq!(waiting(&queue).await, [1, 2, 5, 6, 7]);
    assert_eq!(queue.purge(LetterFilter::older_than(Duration::from_secs(3_600))).await.unwrap().purged, 0);
    assert_eq!(queue.purge(LetterFilter::all().kind(FailureKind::Error)).await.unwrap().purged, 4);
    assert_eq!(waiting(&queue).await, [7]);
    assert_eq!(queue.snapshot().purged, 6);
    assert_eq!(queue.snapshot().waiting, 1);
}

#[tokio::test(start_paused = true)]
async fn queues_in_one_store_do_not_see_each_other() {
    let orders = DeadLetterQueue::in_memory(100).named("orders");
    let mails = orders.named("mails");
    fail(&orders, 1).await;
    fail(&mails, 2).await;
    assert_eq!((waiting(&orders).await, waiting(&mails).await), (vec![1], vec![2]));
    assert_eq!((orders.component(), mails.component()), ("orders", "mails"));
}

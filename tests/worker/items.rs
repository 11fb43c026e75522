//! Items that are processed one by one.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use campanile::dead_letter::LetterFilter;
use campanile::{Backoff, CallError, CircuitBreaker, DeadLetterQueue, FailureKind, Retry, Worker};
use tokio::task::JoinSet;

use crate::{sleep, worker};

#[tokio::test(start_paused = true)]
async fn an_item_is_counted_and_timed_and_its_result_is_returned() {
    let worker = worker();
    let answer = worker.run(20_u64, |millis| async move {
        sleep(millis).await;
        Ok::<_, std::io::Error>(millis * 2)
    });
    assert_eq!(answer.await.unwrap(), 40);
    let timeout = worker.run(40_u64, |millis| async move {
        sleep(millis).await;
        Err::<(), _>(std::io::Error::from(std::io::ErrorKind::TimedOut))
    });
    assert!(
        matches!(timeout.await, Err(CallError::Inner(error)) if error.kind() == std::io::ErrorKind::TimedOut)
    );
    let items = worker.snapshot().items;
    assert_eq!((items.ingested, items.ok, items.failed, items.cancelled, items.active), (2, 1, 1, 0, 0));
    assert_eq!(items.failed_by[&FailureKind::Timeout], 1);
    assert_eq!(items.parked, 1);
    let durations = items.durations;
    assert_eq!((durations.min, durations.max), (Duration::from_millis(20), Duration::from_millis(40)));
    assert_eq!(durations.mean, Duration::from_millis(30));
}

#[tokio::test(start_paused = true)]
async fn a_retry_and_a_circuit_are_passed_and_every_attempt_is_in_the_letter() {
    let retry = Retry::builder().max_attempts(3).backoff(Backoff::constant(Duration::from_millis(5)));
    let breaker = CircuitBreaker::builder("items").consecutive_failures(3).build().unwrap();
    let worker = Worker::builder("retried").retry(&retry.build().unwrap()).breaker(&breaker).build().unwrap();
    let tries = AtomicU32::new(0);
    let third = worker.run("a".to_owned(), |item| {
        let number = tries.fetch_add(1, Ordering::Relaxed) + 1;
        async move { if number == 3 { Ok(item) } else { Err(format!("attempt {number}")) } }
    });
    assert_eq!(third.await.unwrap(), "a");
    let never = worker.run("b".to_owned(), |_| async move { Err::<(), _>("no connection") });
    assert!(matches!(never.await, Err(CallError::Inner("no connection"))));
    let letter = &worker.letters().list(LetterFilter::all()).await.unwrap()[0];
    assert_eq!((letter.tries, letter.attempts.len(), &*letter.message), (3, 3, "no connection"));
    assert!(letter.attempts.iter().all(|attempt| attempt.message == "no connection"), "{letter:?}");
    // Three failures in a row opened the circuit. What it refuses is not tried again.
    let refused = worker.run("c".to_owned(), |_| async { Ok::<_, String>(()) }).await;
    assert!(matches!(refused, Err(CallError::Rejected(_))), "{refused:?}");
    let items = worker.snapshot().items;
    assert_eq!((items.ingested, items.ok, items.failed, items.parked), (3, 1, 2, 2));
    assert_eq!(items.failed_by[&FailureKind::Rejected], 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_counted_and_parked_and_continues() {
    let worker = worker();
    let runs = worker.clone();
    let task = tokio::spawn(async move {
        let panics = |item: u32| async move {
            if item == 7 {
                panic!("on purpose");
            }
            Ok::<_, String>(item)
        };
        runs.run(7, panics).await
    });
    assert!(task.await.unwrap_err().is_panic());
    let items = worker.snapshot().items;
    assert_eq!((items.failed, items.failed_by[&FailureKind::Panic], items.active), (1, 1, 0));
    let letter = &worker.letters().list(LetterFilter::all()).await.unwrap()[0];
    assert_eq!((letter.kind, &*letter.message), (FailureKind::Panic, "on purpose"));
    // The closure itself may panic too.
    let runs = worker.clone();
    let task = tokio::spawn(async move {
        let panics = |_: u32| -> std::future::Ready<Result<(), String>> { panic!("at once") };
        runs.run(8, panics).await
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(worker.snapshot().items.parked, 2);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_dropped_in_flight_is_cancelled_and_parked_if_the_queue_says_so() {
    for park in [false, true] {
        let queue = DeadLetterQueue::builder("dropped").park_cancelled(park).build().unwrap();
        let worker = Worker::builder("dropped").letters(&queue).build().unwrap();
        let runs = worker.clone();
        let task = tokio::spawn(async move { runs.run(7_u32, |_| pending::<Result<(), String>>()).await });
        sleep(10).await;
        assert_eq!(worker.snapshot().items.active, 1);
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        sleep(10).await;
        let items = worker.snapshot().items;
        assert_eq!((items.ingested, items.ok, items.failed, items.cancelled, items.active), (1, 0, 0, 1, 0));
        assert!(items.failed_by.is_empty(), "{items:?}");
        let letters = queue.list(LetterFilter::all()).await.unwrap();
        let kinds: Vec<_> = letters.iter().map(|letter| letter.kind).collect();
        assert_eq!(kinds, if park { vec![FailureKind::Cancelled] } else { vec![] });
    }
}

/// Outcomes of ten items: six are fine, two fail, one panics, one is cancelled.
fn outcome(item: u32) -> u32 {
    item % 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_items_through_64_tasks_are_counted_exactly() {
    let queue = DeadLetterQueue::in_memory(20_000);
    let worker = Worker::builder("many").letters(&queue).build().unwrap();
    let mut tasks = JoinSet::new();
    for start in 0..64 {
        let worker = worker.clone();
        tasks.spawn(async move {
            for item in (start..10_000_u32).step_by(64) {
                let worker = worker.clone();
                let run = tokio::spawn(async move {
                    let work = |item: u32| async move {
                        match outcome(item) {
                            0 | 1 => Err(format!("item {item} failed")),
                            2 => panic!("item {item} panicked"),
                            3 => pending().await,
                            _ => Ok(()),
                        }
                    };
                    // The item is dropped after its first poll.
                    let run = std::pin::pin!(worker.run(item, work));
                    if outcome(item) == 3 {
                        let mut run = run;
                        let first = poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_pending())).await;
                        assert!(first);
                    } else {
                        drop(run.await);
                    }
                });
                drop(run.await);
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    let items = worker.snapshot().items;
    assert_eq!((items.ingested, items.ok, items.active), (10_000, 6_000, 0));
    assert_eq!((items.failed, items.cancelled), (3_000, 1_000));
    assert_eq!((items.failed_by[&FailureKind::Error], items.failed_by[&FailureKind::Panic]), (2_000, 1_000));
    assert_eq!((items.parked, items.dropped, queue.len().await.unwrap()), (3_000, 0, 3_000));
    let errors = worker.snapshot().errors;
    assert_eq!((errors.total, errors.recent.len()), (3_000, 50));
}

#[tokio::test(start_paused = true)]
async fn items_of_any_domain_are_counted_with_bounded_reasons() {
    let worker = worker();
    worker.items().ingested(100).converted(80).failed(3).skipped("duplicate", 12).skipped("too old", 2);
    worker.items().skipped("duplicate", 1).skipped(&"x".repeat(129), 4);
    for n in 0..40 {
        worker.items().skipped(&format!("reason {n:02}"), 1);
    }
    let items = worker.snapshot().items;
    assert_eq!((items.ingested, items.converted, items.failed), (100, 80, 3));
    assert_eq!((items.skipped_by["duplicate"], items.skipped_by["too old"]), (13, 2));
    // 32 reasons, and the one of all others.
    assert_eq!(
        (items.skipped_by.len(), items.skipped_by["_OTHER"], items.skipped),
        (33, 4 + 10, 13 + 2 + 4 + 40)
    );
}

#[tokio::test(start_paused = true)]
async fn an_item_in_an_arc_is_not_copied() {
    let worker = worker();
    let item = Arc::new(vec![1_u8; 1_000]);
    let same = Arc::clone(&item);
    let run = worker.run(item, move |item| {
        let same = Arc::ptr_eq(&item, &same);
        async move { if same { Ok(()) } else { Err("copied") } }
    });
    run.await.unwrap();
}

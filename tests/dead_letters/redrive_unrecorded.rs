//! A store that does not record results: the write is tried again, and unrecorded results are reported.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{LetterFilter, Redrive};
use tokio::time::sleep;
use tower::{BoxError, Service, service_fn};

use crate::support::{Mood, MoodyStore, Order, fail, waiting};

/// A queue of four letters, on a store that the test controls.
async fn queue() -> (MoodyStore, DeadLetterQueue) {
    let store = MoodyStore::new(Mood::Fine);
    let queue = DeadLetterQueue::builder("orders").on(store.clone()).unwrap();
    for number in 1..=4 {
        fail(&queue, number).await;
    }
    (store, queue)
}

/// Fails odd orders, and records all.
fn odd() -> (impl Service<Order, Response = (), Error = BoxError, Future: Send> + Clone, Arc<Mutex<Vec<u32>>>)
{
    let seen: Arc<Mutex<Vec<u32>>> = Arc::default();
    let notes = Arc::clone(&seen);
    let service = service_fn(move |order: Order| {
        notes.lock().unwrap().push(order.number);
        std::future::ready(if order.number % 2 == 1 { Err(BoxError::from("refused again")) } else { Ok(()) })
    });
    (service, seen)
}

fn redrive() -> Redrive {
    Redrive::all().concurrency(4).stop_at_failure_rate(1.0, 1_000)
}

async fn redrives_of(queue: &DeadLetterQueue) -> Vec<u32> {
    queue.list(LetterFilter::all()).await.unwrap().iter().map(|letter| letter.redrives).collect()
}

#[tokio::test(start_paused = true)]
async fn p23_failures_that_cannot_be_recorded_are_reported_and_the_redrive_continues() {
    let (store, queue) = queue().await;
    store.failures_taken.store(0, Ordering::SeqCst);
    let (service, seen) = odd();
    let report = queue.redrive(service.clone(), redrive()).await.unwrap();
    assert_eq!((report.matched, report.redriven, report.failed, report.unrecorded), (4, 2, 0, 2));
    assert_eq!((report.stopped, report.held), (None, 0));
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3, 4], "each once");
    assert_eq!((waiting(&queue).await, redrives_of(&queue).await), (vec![1, 3], vec![0, 0]));

    // They are not sent again before their lease is over.
    store.failures_taken.store(u64::MAX, Ordering::SeqCst);
    let report = queue.redrive(service.clone(), redrive()).await.unwrap();
    assert_eq!((report.matched, report.held), (0, 2));
    sleep(Duration::from_secs(30)).await;
    let report = queue.redrive(service, redrive()).await.unwrap();
    assert_eq!((report.failed, report.unrecorded), (2, 0));
    assert_eq!((redrives_of(&queue).await, seen.lock().unwrap().len()), (vec![1, 1], 6));
}

#[tokio::test(start_paused = true)]
async fn p23_a_store_with_space_for_one_letter_gets_one_at_a_time() {
    let (store, queue) = queue().await;
    store.failures_taken.store(1, Ordering::SeqCst);
    let report = queue.redrive(odd().0, redrive()).await.unwrap();
    assert_eq!((report.redriven, report.failed, report.unrecorded), (2, 2, 0));
    assert_eq!(redrives_of(&queue).await, [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn p23_a_short_outage_of_the_store_has_no_effect() {
    let (store, queue) = queue().await;
    store.settles.store(false, Ordering::SeqCst);
    let back = Arc::clone(&store.settles);
    tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        back.store(true, Ordering::SeqCst);
    });
    let (service, seen) = odd();
    let report = queue.redrive(service, redrive()).await.unwrap();
    assert_eq!((report.redriven, report.failed, report.unrecorded), (2, 2, 0));
    assert_eq!(seen.lock().unwrap().len(), 4, "none is sent twice");
}

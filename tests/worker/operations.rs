//! Operations that are tracked.

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::FailureKind;

use crate::{Pipeline, sleep, worker};

async fn query(millis: u64, fine: bool) -> Result<u64, io::Error> {
    sleep(millis).await;
    if fine { Ok(millis) } else { Err(io::ErrorKind::TimedOut.into()) }
}

#[tokio::test(start_paused = true)]
async fn an_operation_has_durations_items_and_throughput() {
    let worker = worker();
    assert_eq!(worker.track("fetch", 10, query(100, true)).await.unwrap(), 100);
    assert_eq!(worker.track("fetch", 30, query(300, true)).await.unwrap(), 300);
    assert!(worker.track("fetch", 99, query(100, false)).await.is_err());
    assert_eq!(worker.track("save", 1, query(10, true)).await.unwrap(), 10);
    let operations = worker.snapshot().operations;
    let [fetch, save] = &operations[..] else { panic!("{operations:?}") };
    assert_eq!((&*fetch.name, fetch.calls, fetch.failed, fetch.items), ("fetch", 3, 1, 40));
    assert_eq!(fetch.failed_by[&FailureKind::Timeout], 1);
    let millis = Duration::from_millis;
    let durations = &fetch.durations;
    assert_eq!((durations.min, durations.max), (millis(100), millis(300)));
    assert_eq!(durations.mean.as_micros(), 166_666);
    assert_eq!(fetch.items_per_second, 80.0);
    assert_eq!((save.calls, save.items, save.memory), (1, 1, None));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_or_panics_counts_once() {
    let worker = worker();
    let hangs = worker.track("hangs", 1, pending::<Result<(), String>>());
    assert!(tokio::time::timeout(Duration::from_secs(1), hangs).await.is_err());
    let other = worker.clone();
    let panics = async { if true { panic!("on purpose") } else { Ok::<(), String>(()) } };
    assert!(tokio::spawn(async move { other.track("panics", 1, panics).await }).await.is_err());
    let operations = worker.snapshot().operations;
    assert_eq!((operations[0].calls, operations[0].active, operations[0].items), (1, 0, 0));
    assert_eq!(operations[0].failed_by[&FailureKind::Cancelled], 1);
    assert_eq!(operations[1].failed_by[&FailureKind::Panic], 1);
    // A call that never starts is cancelled too.
    drop(worker.track("hangs", 1, pending::<Result<(), String>>()));
    assert_eq!(worker.snapshot().operations[0].calls, 2);
}

#[tokio::test(start_paused = true)]
async fn names_of_operations_are_bounded() {
    let worker = worker();
    for n in 0..100 {
        worker.track(&format!("operation {n:03}"), 1, query(0, true)).await.unwrap();
    }
    let operations = worker.snapshot().operations;
    assert_eq!(operations.len(), 65);
    let other = operations.iter().find(|operation| &*operation.name == "_OTHER").unwrap();
    assert_eq!((other.calls, other.items), (36, 36));
}

#[tokio::test]
async fn memory_is_read_around_a_call_on_request() {
    let worker = worker();
    let kept = worker
        .track("load", 1, async {
            // Touched, so that it is resident.
            Ok::<_, String>(vec![7_u8; 64 << 20])
        })
        .with_memory()
        .await
        .unwrap();
    let memory = worker.snapshot().operations[0].memory.unwrap();
    assert!(memory.after >= memory.before + (32 << 20), "{memory:?}");
    assert_eq!(memory.largest_growth, memory.after - memory.before);
    drop(kept);
    worker.track("load", 1, query(0, true)).with_memory().await.unwrap();
    let again = worker.snapshot().operations[0].memory.unwrap();
    assert_eq!(again.largest_growth, memory.largest_growth);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_ends_in_its_span() {
    struct Seen(Arc<Mutex<Option<&'static str>>>);
    impl Drop for Seen {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = tracing::Span::current().metadata().map(|span| span.name());
        }
    }
    let _pipeline = Pipeline::new();
    let span = Arc::default();
    let seen = Seen(Arc::clone(&span));
    let call = worker().track("hangs", 1, async move {
        let _seen = seen;
        pending::<Result<(), String>>().await
    });
    assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err());
    assert_eq!(*span.lock().unwrap(), Some("operation"));
}

//! Blocking functions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use campanile::health::{BlockingCheck, Check, Finding};
use tokio::time::timeout;

use crate::{find, why};

#[tokio::test]
async fn the_output_of_the_function_is_the_finding() {
    assert_eq!(find(&BlockingCheck::new(|| ())).await, Finding::Pass);
    let fails = BlockingCheck::new(|| std::fs::read("/nowhere/at/all").map(drop));
    assert!(why(find(&fails).await).contains("No such file"));
}

#[tokio::test]
async fn a_run_that_does_not_end_takes_one_thread_and_fails_the_next_runs() {
    let (go_on, stop) = mpsc::channel::<()>();
    let stop = campanile_test_mutex(stop);
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    let check = BlockingCheck::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        // Blocks until the test drops the sender.
        let _ = stop.lock().unwrap().recv();
    });
    // The caller gives up; the thread stays blocked.
    assert!(timeout(Duration::from_millis(50), check.check()).await.is_err());
    for _ in 0..3 {
        assert!(why(find(&check).await).starts_with("the previous run still blocks its thread, for "));
    }
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    drop(go_on);
    while find(&check).await != Finding::Pass {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_panic_is_resumed_and_frees_the_thread() {
    let panics = Arc::new(AtomicUsize::new(1));
    let left = Arc::clone(&panics);
    let check = Arc::new(BlockingCheck::new(move || {
        assert_eq!(left.swap(0, Ordering::SeqCst), 0, "on purpose");
    }));
    let first = Arc::clone(&check);
    let panicked = tokio::spawn(async move { first.check().await }).await.unwrap_err().into_panic();
    assert!(panicked.downcast_ref::<String>().unwrap().contains("on purpose"));
    assert_eq!(find(&*check).await, Finding::Pass);
}

#[allow(clippy::disallowed_types)] // The library's own mutex is not public.
fn campanile_test_mutex<T>(inner: T) -> std::sync::Mutex<T> {
    std::sync::Mutex::new(inner)
}

//! Functions that block.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use campanile::health::{BlockingCheck, Check, Finding};
use tokio::time::timeout;

use crate::{find, why};

#[tokio::test]
async fn a_function_is_a_check_and_its_end_is_the_finding() {
    assert_eq!(find(&BlockingCheck::new(|| ())).await, Finding::Pass);
    let fails = BlockingCheck::new(|| std::fs::read("/nowhere/at/all").map(drop));
    assert!(why(find(&fails).await).contains("No such file"));
}

#[tokio::test]
async fn one_that_does_not_end_takes_one_thread_and_says_so() {
    let (go_on, stop) = mpsc::channel::<()>();
    let stop = campanile_test_mutex(stop);
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    let check = BlockingCheck::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        // Until it is let go.
        let _ = stop.lock().unwrap().recv();
    });
    // Whoever asked gives up; the thread stands.
    assert!(timeout(Duration::from_millis(50), check.check()).await.is_err());
    for _ in 0..3 {
        assert!(why(find(&check).await).starts_with("the run before this one has not ended for "));
    }
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    drop(go_on);
    while find(&check).await != Finding::Pass {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_panic_is_passed_on_and_leaves_the_thread_free() {
    let panics = Arc::new(AtomicUsize::new(1));
    let left = Arc::clone(&panics);
    let check = Arc::new(BlockingCheck::new(move || {
        assert_eq!(left.swap(0, Ordering::SeqCst), 0, "as it was told");
    }));
    let first = Arc::clone(&check);
    let panicked = tokio::spawn(async move { first.check().await }).await.unwrap_err().into_panic();
    assert!(panicked.downcast_ref::<String>().unwrap().contains("as it was told"));
    assert_eq!(find(&*check).await, Finding::Pass);
}

#[allow(clippy::disallowed_types)] // The library's own mutex is not public.
fn campanile_test_mutex<T>(inner: T) -> std::sync::Mutex<T> {
    std::sync::Mutex::new(inner)
}

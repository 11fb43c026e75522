//! New settings while calls are made.

use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use campanile::retry::{RetryBudget, RetrySettings};
use campanile::{Backoff, CallError, Retry};

fn retry(attempts: u32) -> Retry {
    let backoff = Backoff::constant(Duration::from_millis(1));
    Retry::builder().max_attempts(attempts).backoff(backoff).budget(None).build().unwrap()
}

/// The attempts of a call that always fails.
async fn attempts(retry: &Retry) -> u32 {
    let made = AtomicU32::new(0);
    let _ = retry.run(|| async { Err::<(), _>(made.fetch_add(1, Ordering::Relaxed).to_string()) }).await;
    made.into_inner()
}

#[tokio::test(start_paused = true)]
async fn later_calls_have_the_new_settings() {
    let retry = retry(2);
    assert_eq!(attempts(&retry).await, 2);
    retry.reconfigure(RetrySettings { max_attempts: 4, ..retry.settings() }).unwrap();
    assert_eq!(attempts(&retry).await, 4);

    let refused = retry.reconfigure(RetrySettings { max_attempts: 0, ..retry.settings() }).unwrap_err();
    assert_eq!((refused.setting(), retry.settings().max_attempts), ("max_attempts", 4));
}

#[tokio::test(start_paused = true)]
async fn a_call_in_progress_keeps_its_number_of_attempts() {
    let (retry, made) = (retry(3), AtomicU32::new(0));
    let _ = retry
        .run(|| {
            made.fetch_add(1, Ordering::Relaxed);
            retry.reconfigure(RetrySettings { max_attempts: 9, ..retry.settings() }).unwrap();
            async { Err::<(), _>("broken") }
        })
        .await;
    assert_eq!(made.into_inner(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_new_ends_no_call_that_began_before_it() {
    let limit = Some(Duration::from_secs(2));
    for (deadline, attempt_timeout) in [(limit, None), (None, limit), (limit, limit)] {
        let retry = retry(1);
        let call = retry.run(|| async {
            for _ in 0..60 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok::<_, String>("late")
        });
        let change = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let limited = RetrySettings { deadline, attempt_timeout, ..retry.settings() };
            retry.reconfigure(limited).unwrap();
        };
        assert_eq!(tokio::join!(call, change).0.unwrap(), "late");
        let hanging = retry.run(pending::<Result<(), String>>);
        let ended =
            tokio::time::timeout(Duration::from_secs(60), hanging).await.expect("the new limit holds");
        assert!(matches!(ended, Err(CallError::TimedOut(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_can_be_set_and_removed() {
    let retry = retry(2);
    assert_eq!(retry.snapshot().budget_left, None);
    let none = RetryBudget::ratio(0.0).min_per_second(0);
    retry.reconfigure(RetrySettings { budget: Some(none), ..retry.settings() }).unwrap();
    assert_eq!((attempts(&retry).await, retry.snapshot().budget_left), (1, Some(0)));
    // What succeeded without a limit earns nothing later.
    retry.reconfigure(RetrySettings { budget: None, ..retry.settings() }).unwrap();
    for _ in 0..100 {
        retry.run(|| async { Ok::<_, String>(()) }).await.unwrap();
    }
    let half = RetryBudget::ratio(0.5).min_per_second(0);
    retry.reconfigure(RetrySettings { budget: Some(half), ..retry.settings() }).unwrap();
    assert_eq!(retry.snapshot().budget_left, Some(0));
    assert_eq!(retry.snapshot().successes, 100);
}

#[tokio::test(start_paused = true)]
async fn a_budget_keeps_what_it_has_counted_and_counts_on() {
    let retry = retry(2);
    let limit = |ratio| {
        let budget = Some(RetryBudget::ratio(ratio).min_per_second(0));
        retry.reconfigure(RetrySettings { budget, ..retry.settings() }).unwrap();
    };
    limit(0.5);
    assert_eq!(retry.snapshot().budget_left, Some(0));
    tokio::time::sleep(Duration::from_secs(60)).await;
    for _ in 0..100 {
        retry.run(|| async { Ok::<_, String>(()) }).await.unwrap();
    }
    assert_eq!(retry.snapshot().budget_left, Some(50));
    assert_eq!(attempts(&retry).await, 2);
    // 101 calls, and one retry.
    limit(1.0);
    assert_eq!(retry.snapshot().budget_left, Some(100));
}

//! The budget that all calls of a handle share.

use std::time::SystemTime;

use campanile::retry::GiveUp;
use campanile::{Backoff, Retry, RetryBudget};
use tokio_test::{assert_pending, task};

use crate::support::{millis, secs};

fn retry(budget: RetryBudget) -> Retry {
    Retry::builder().max_attempts(3).backoff(Backoff::constant(millis(1))).budget(budget).build().unwrap()
}

async fn fail(retry: &Retry, times: usize) {
    for _ in 0..times {
        retry.run(|| async { Err::<(), _>("broken") }).await.unwrap_err();
    }
}

async fn succeed(retry: &Retry, times: usize) {
    for _ in 0..times {
        retry.run(|| async { Ok::<_, &str>(()) }).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn p09_retries_are_a_share_of_the_calls_and_a_minimum() {
    for (ratio, share) in [(0.2, 20), (1.0 / 3.0, 33), (0.6, 60), (0.7, 70), (1.3, 130)] {
        let retry = retry(RetryBudget::ratio(ratio).min_per_second(1));
        fail(&retry, 100).await;
        let counted = retry.snapshot();
        assert_eq!(counted.retries, share + 10, "at ratio {ratio}");
        assert_eq!(counted.failures, 100);
        assert_eq!(counted.given_up[&GiveUp::Budget] + counted.given_up[&GiveUp::Attempts], 100);
        assert_eq!(counted.budget_left, Some(0));
    }
}

#[tokio::test(start_paused = true)]
async fn p09_every_ratio_is_exact() {
    let exact = [(0.001, 1), (0.2, 200), (0.333, 333), (0.6, 600), (0.7, 700), (0.999, 999), (2.5, 2_500)];
    for (ratio, granted) in exact {
        let retry = retry(RetryBudget::ratio(ratio).min_per_second(0));
        succeed(&retry, 1_000).await;
        assert_eq!(retry.snapshot().budget_left, Some(granted), "of 1,000 calls at {ratio}");
    }
    for (part, of) in [(1_u32, 3_u32), (2, 3), (1, 7), (5, 7), (6, 11), (3, 5), (7, 10)] {
        let retry = retry(RetryBudget::ratio(f64::from(part) / f64::from(of)).min_per_second(0));
        for n in 1..=of {
            succeed(&retry, 1).await;
            assert_eq!(retry.snapshot().budget_left, Some(u64::from(part * n / of)), "{part}/{of} of {n}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p09_rare_calls_earn_too() {
    let retry = retry(RetryBudget::ratio(1.0).min_per_second(0));
    for _ in 0..60 {
        tokio::time::advance(secs(1)).await;
        succeed(&retry, 1).await;
    }
    assert_eq!(retry.snapshot().budget_left, Some(10));
}

#[tokio::test(start_paused = true)]
async fn p09_the_minimum_is_restored_and_old_calls_earn_nothing() {
    let retry = retry(RetryBudget::ratio(0.5).min_per_second(1));
    succeed(&retry, 100).await;
    assert_eq!(retry.snapshot().budget_left, Some(60));
    tokio::time::advance(secs(12)).await;
    assert_eq!(retry.snapshot().budget_left, Some(10));
    fail(&retry, 100).await;
    // The last hundred calls earned fifty retries, the earlier ones none.
    assert_eq!(retry.snapshot().retries, 60);
}

/// For any number of successes that share a reading of the clock.
#[tokio::test(start_paused = true)]
async fn p09_calls_earn_for_ten_seconds() {
    let retry = retry(RetryBudget::ratio(0.5).min_per_second(0));
    for _ in 0..10 {
        succeed(&retry, 2_000).await;
        tokio::time::advance(secs(1)).await;
    }
    // The first two thousand do not count any more. Each thousand is from one second.
    for left in (0..10_u64).rev() {
        let expected = 1_000 * left;
        let found = retry.snapshot().budget_left.unwrap();
        assert!(found <= expected && found + 64 > expected, "{found} and not {expected}");
        tokio::time::advance(secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn p09_a_call_earns_when_its_first_attempt_has_ended() {
    let retry = retry(RetryBudget::ratio(1.0).min_per_second(0));
    let left = || retry.snapshot().budget_left;
    let mut hangs = task::spawn(retry.run(std::future::pending::<Result<(), &str>>));
    assert_pending!(hangs.poll());
    assert_eq!(left(), Some(0), "it hangs");
    drop(hangs);
    assert_eq!(left(), Some(0), "its caller gave up");
    // Each of these is one call, with any number of attempts and any result.
    succeed(&retry, 1).await;
    assert_eq!(left(), Some(1));
    fail(&retry, 1).await;
    assert_eq!((left(), retry.snapshot().retries), (Some(0), 2));
    let once = Retry::builder()
        .max_attempts(1)
        .deadline(secs(1))
        .budget(RetryBudget::ratio(1.0).min_per_second(0))
        .build()
        .unwrap();
    fail(&once, 1).await;
    once.run(std::future::pending::<Result<(), &str>>).await.unwrap_err();
    assert_eq!(once.snapshot().budget_left, Some(2), "one failed, one was ended by the deadline");
}

#[tokio::test(start_paused = true)]
async fn p09_clones_and_layers_share_one_budget() {
    let retry = retry(RetryBudget::ratio(0.0).min_per_second(1));
    let clone = retry.clone();
    fail(&retry, 4).await;
    fail(&clone, 4).await;
    assert_eq!(retry.snapshot().retries, 10);
    assert_eq!(retry.snapshot(), clone.snapshot());
    assert_eq!(Retry::builder().budget(None).build().unwrap().snapshot().budget_left, None);
}

#[test]
fn p09_threads_share_one_budget() {
    let retry = retry(RetryBudget::ratio(0.6).min_per_second(2));
    let began = SystemTime::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .start_paused(true)
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    for _ in 0..5 {
                        fail(&retry, 10).await;
                        succeed(&retry, 10).await;
                    }
                });
            });
        }
    });
    let counted = retry.snapshot();
    assert_eq!((counted.calls, counted.successes, counted.failures), (800, 400, 400));
    assert!(counted.retries <= 480 + 20, "{} retries", counted.retries);
    // All is in one window, unless this machine paused for seconds. Then fewer retries are granted.
    assert!(counted.retries >= 20);
    if began.elapsed().is_ok_and(|took| took < secs(5)) {
        assert_eq!(counted.retries + counted.budget_left.unwrap_or_default(), 480 + 20);
    }
}

//! The budget that all calls of a handle share.

use campanile::retry::GiveUp;
use campanile::{Backoff, Retry, RetryBudget};

use crate::support::{millis, secs};

fn retry(budget: RetryBudget) -> Retry {
    Retry::builder().max_attempts(3).backoff(Backoff::constant(millis(1))).budget(budget).build().unwrap()
}

async fn fail(retry: &Retry, times: usize) {
    for _ in 0..times {
        retry.run(|| async { Err::<(), _>("broken") }).await.unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn p09_retries_are_a_share_of_the_calls_and_a_reserve() {
    for (ratio, share) in [(0.2, 20), (0.6, 60), (0.7, 70)] {
        let retry = retry(RetryBudget::ratio(ratio).min_per_second(1));
        fail(&retry, 100).await;
        let counted = retry.snapshot();
        assert_eq!(counted.retries, share + 10, "at ratio {ratio}");
        assert_eq!(counted.failures, 100);
        assert_eq!(counted.given_up[&GiveUp::Budget] + counted.given_up[&GiveUp::Attempts], 100);
    }
}

#[tokio::test(start_paused = true)]
async fn p09_the_reserve_comes_back_and_old_calls_earn_nothing() {
    let retry = retry(RetryBudget::ratio(0.5).min_per_second(1));
    for _ in 0..100 {
        retry.run(|| async { Ok::<_, &str>(()) }).await.unwrap();
    }
    tokio::time::advance(secs(12)).await;
    fail(&retry, 100).await;
    // Those hundred calls earned fifty retries, the earlier ones none.
    assert_eq!(retry.snapshot().retries, 60);
}

#[tokio::test(start_paused = true)]
async fn p09_clones_and_layers_share_one_budget() {
    let retry = retry(RetryBudget::ratio(0.0).min_per_second(1));
    let clone = retry.clone();
    fail(&retry, 4).await;
    fail(&clone, 4).await;
    assert_eq!(retry.snapshot().retries, 10);
    assert_eq!(retry.snapshot(), clone.snapshot());
}

#[test]
fn p09_threads_share_one_budget() {
    let retry = retry(RetryBudget::ratio(0.6).min_per_second(2));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .start_paused(true)
                    .build()
                    .unwrap();
                runtime.block_on(fail(&retry, 50));
            });
        }
    });
    let counted = retry.snapshot();
    assert_eq!(counted.calls, 200);
    assert!(counted.retries <= 120 + 20, "{} retries", counted.retries);
    // It all fits in one window unless this machine stood still for seconds; then fewer are granted.
    assert!(counted.retries >= 20);
}

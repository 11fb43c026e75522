//! `retry.run`, for code that is not a service.

use std::io;

use campanile::retry::GiveUp;
use campanile::{CallError, CircuitBreaker, FailureKind, Outcome};
use tokio::time::Instant;
use tower::BoxError;

use crate::support::{Count, builder, millis, retry, secs};

#[tokio::test(start_paused = true)]
async fn work_is_retried_until_it_succeeds() {
    let (retry, calls) = (retry(), Count::default());
    let began = Instant::now();
    let answer = retry
        .run(|| {
            let number = calls.add();
            async move { if number < 3 { Err(io::Error::other("not yet")) } else { Ok(number) } }
        })
        .await;
    assert_eq!(answer.unwrap(), 3);
    assert!((secs(2)..millis(2_010)).contains(&began.elapsed()));
    let counted = retry.snapshot();
    assert_eq!((counted.calls, counted.successes, counted.retries), (1, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_returned() {
    let (retry, calls) = (retry(), Count::default());
    let result = retry
        .run(|| {
            let n = calls.add();
            async move { Err::<(), _>(n.to_string()) }
        })
        .await;
    assert_eq!(result.unwrap_err(), CallError::Inner("4".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn p10_work_that_hangs_is_ended_at_the_deadline() {
    let retry = builder().deadline(secs(5)).build().unwrap();
    let began = Instant::now();
    let result = retry.run(std::future::pending::<Result<(), io::Error>>).await;
    assert!(result.unwrap_err().is_timed_out());
    assert!((secs(5)..millis(5_010)).contains(&began.elapsed()));
}

#[derive(Debug)]
struct Own;

impl std::fmt::Display for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an error of one's own")
    }
}

impl std::error::Error for Own {}

/// The refusal is found in every type of error that `run` accepts.
#[tokio::test(start_paused = true)]
async fn p10_a_refusal_is_not_retried() {
    let breaker = CircuitBreaker::builder("db").build().unwrap();
    breaker.force_open();
    let retry = retry();
    let calls = Count::default();

    let own = retry
        .run(|| {
            calls.add();
            breaker.call(async { Err::<(), _>(Own) })
        })
        .await;
    assert!(matches!(own, Err(CallError::Inner(CallError::Rejected(_)))));
    let boxed = retry
        .run(|| {
            calls.add();
            breaker.call(async { Err::<(), BoxError>("x".into()) })
        })
        .await;
    assert!(matches!(boxed, Err(CallError::Inner(CallError::Rejected(_)))));
    let text = retry
        .run(|| {
            calls.add();
            breaker.call(async { Err::<(), _>("x") })
        })
        .await;
    assert!(matches!(text, Err(CallError::Inner(CallError::Rejected(_)))));
    let inside = retry
        .run(|| {
            calls.add();
            async { breaker.call(async { Ok::<_, Own>(()) }).await.map_err(BoxError::from) }
        })
        .await;
    assert!(matches!(inside, Err(CallError::Inner(_))));
    assert_eq!((calls.get(), retry.snapshot().given_up[&GiveUp::Rejected]), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn a_custom_classifier_decides() {
    let (retry, calls) = (retry(), Count::default());
    // An error type without any traits.
    struct Code(u16);
    let rule = |result: Result<&(), &Code>| match result {
        Ok(()) => Outcome::Success,
        Err(Code(500..)) => Outcome::Failure(FailureKind::Error),
        Err(_) => Outcome::Permanent(FailureKind::Error),
    };
    let codes = [503, 404];
    let result = retry
        .run_with(rule, || {
            let n = calls.add();
            async move { Err::<(), _>(Code(codes[n - 1])) }
        })
        .await;
    assert!(matches!(result, Err(CallError::Inner(Code(404)))));
    assert_eq!(calls.get(), 2);
}

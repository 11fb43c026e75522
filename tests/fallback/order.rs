//! Fallback and dead letters among themselves: the order of the guide.

use campanile::fallback::{self, FallbackKind};
use campanile::{Backoff, DeadLetterQueue, Fallback, LetterFilter, Retry};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

use crate::support::secs;

async fn broken(_: u32) -> Result<u32, BoxError> {
    Err("broken".into())
}

fn retry(attempts: u32) -> Retry {
    let backoff = Backoff::constant(secs(1));
    Retry::builder().max_attempts(attempts).backoff(backoff).budget(None).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_fallback_outside_of_dead_letters_answers_and_the_call_is_parked() {
    let (fallback, queue) = (Fallback::new("x"), DeadLetterQueue::in_memory(10));
    let stack = ServiceBuilder::new()
        .layer(fallback.layer(fallback::value(0)))
        .layer(queue.layer())
        .layer(retry(3).layer())
        .service_fn(broken);
    assert_eq!(stack.oneshot(7).await.unwrap(), 0);
    assert_eq!(queue.len().await.unwrap(), 1);
    assert_eq!(fallback.snapshot().answered[&FallbackKind::Value], 1);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_inside_of_dead_letters_answers_and_nothing_is_parked() {
    let (fallback, queue) = (Fallback::new("x"), DeadLetterQueue::in_memory(10));
    let stack = ServiceBuilder::new()
        .layer(queue.layer())
        .layer(fallback.layer(fallback::value(0)))
        .layer(retry(3).layer())
        .service_fn(broken);
    assert_eq!(stack.oneshot(7).await.unwrap(), 0);
    assert_eq!(queue.len().await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_letter_has_the_first_error_and_its_attempts_when_the_fallback_fails_too() {
    let (fallback, queue) = (Fallback::new("x"), DeadLetterQueue::in_memory(10));
    let other = ServiceBuilder::new()
        .layer(retry(5).layer())
        .service(service_fn(|_: u32| async { Err::<u32, BoxError>("the other one".into()) }));
    let stack = ServiceBuilder::new()
        .layer(queue.layer())
        .layer(fallback.layer(fallback::service(other)))
        .layer(retry(3).layer())
        .service_fn(broken);
    stack.oneshot(7).await.unwrap_err();
    let letters = queue.list(LetterFilter::all()).await.unwrap();
    assert_eq!(letters.len(), 1);
    let text = format!("{:?}", letters[0]);
    let letter = queue.get(letters[0].id).await.unwrap().unwrap();
    assert_eq!(letter.attempts.len(), 3, "{text}");
    assert!(letter.attempts.iter().all(|attempt| attempt.message.contains("broken")), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_fallback_inside_of_retry_answers_at_the_first_failure() {
    let (fallback, retry) = (Fallback::new("x"), retry(3));
    let stack = ServiceBuilder::new()
        .layer(retry.layer())
        .layer(fallback.layer(fallback::value(0)))
        .service_fn(broken);
    assert_eq!(stack.oneshot(7).await.unwrap(), 0);
    assert_eq!((retry.snapshot().retries, fallback.snapshot().calls), (0, 1));
}

//! The contents of a letter.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use campanile::dead_letter::{Attempt, Letter, LetterFilter, Redrive};
use campanile::{Backoff, DeadLetterQueue, FailureKind, Retry};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Order, order};

/// Three attempts, ten milliseconds between them.
fn retry() -> Retry {
    let backoff = Backoff::exponential(Duration::from_millis(10), Duration::from_millis(10))
        .jitter(campanile::Jitter::None);
    Retry::builder().max_attempts(3).backoff(backoff).build().unwrap()
}

async fn only(queue: &DeadLetterQueue) -> Letter {
    let mut letters = queue.list(LetterFilter::all()).await.unwrap();
    assert_eq!(letters.len(), 1);
    letters.remove(0)
}

fn messages(letter: &Letter) -> Vec<&str> {
    letter.attempts.iter().map(|attempt| attempt.message.as_str()).collect()
}

fn millis(attempts: &[Attempt]) -> Vec<u128> {
    attempts.iter().map(|attempt| attempt.took.unwrap().as_millis()).collect()
}

/// Waits as many milliseconds as the item says, and then fails with the number of the call.
fn failing() -> impl tower::Service<Order, Response = (), Error = BoxError, Future: Send> + Clone {
    let calls = Arc::new(std::sync::atomic::AtomicU32::new(0));
    service_fn(move |order: Order| {
        let call = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        async move {
            tokio::time::sleep(Duration::from_millis(u64::from(order.number))).await;
            Err::<(), BoxError>(format!("failure {call}").into())
        }
    })
}

#[tokio::test(start_paused = true)]
async fn p23_a_letter_lists_every_attempt_of_a_retry() {
    let queue = DeadLetterQueue::in_memory(10);
    let stack = ServiceBuilder::new().layer(queue.layer()).layer(retry().layer()).service(failing());
    let began = SystemTime::now();
    assert_eq!(stack.clone().oneshot(order(5)).await.unwrap_err().to_string(), "failure 3");
    let letter = only(&queue).await;
    assert_eq!(messages(&letter), ["failure 1", "failure 2", "failure 3"]);
    assert_eq!((letter.tries, letter.redrives, letter.message.as_str()), (3, 0, "failure 3"));
    assert_eq!(millis(&letter.attempts), [5, 5, 5]);
    assert!(letter.attempts.iter().all(|attempt| attempt.kind == FailureKind::Error
        && attempt.error_type == "error"
        && !attempt.redrive
        && attempt.redrive_number == 0));
    let at: Vec<_> =
        letter.attempts.iter().map(|attempt| attempt.at.duration_since(began).unwrap().as_millis()).collect();
    assert!(at[1] - at[0] >= 14 && at[2] - at[1] >= 14, "{at:?}");

    // The attempts of a redrive have its number.
    for redrive in 1..=2 {
        let report = queue.redrive(stack.clone(), Redrive::all()).await.unwrap();
        assert_eq!(report.failed, 1);
        let letter = only(&queue).await;
        assert_eq!((letter.tries, letter.redrives), (3 + 3 * redrive, redrive));
        let numbers: Vec<_> = letter.attempts.iter().map(|attempt| attempt.redrive_number).collect();
        assert_eq!(numbers[3 * redrive as usize..], [redrive; 3]);
        assert!(letter.attempts.last().unwrap().redrive);
        // The call failed with its last attempt.
        let apart =
            |a: SystemTime, b: SystemTime| a.duration_since(b).unwrap_or_else(|error| error.duration());
        assert!(apart(letter.first_failed, letter.attempts[2].at) < Duration::from_millis(5));
        assert!(apart(letter.last_failed, letter.attempts.last().unwrap().at) < Duration::from_millis(5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_lists_the_attempts_of_a_retried_function() {
    let queue = DeadLetterQueue::in_memory(10);
    let inside = retry();
    let service = queue.layer().layer(service_fn(move |_: Order| {
        let retry = inside.clone();
        async move {
            retry.run(|| async { Err::<(), _>("one that gets lost") }).await.unwrap_err();
            let mut calls = 0;
            retry
                .run(|| {
                    calls += 1;
                    let text = format!("call {calls}");
                    async move { Err::<(), _>(text) }
                })
                .await
                .map_err(|error| error.to_string())
        }
    }));
    service.oneshot(order(1)).await.unwrap_err();
    assert_eq!(messages(&only(&queue).await), ["call 1", "call 2", "call 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_retry_is_one_attempt_with_a_duration() {
    let queue = DeadLetterQueue::in_memory(10);
    queue.layer().layer(failing()).oneshot(order(70)).await.unwrap_err();
    let letter = only(&queue).await;
    assert_eq!((letter.tries, messages(&letter), millis(&letter.attempts)), (1, vec!["failure 1"], vec![70]));
    assert_eq!(letter.attempts[0].at, letter.first_failed);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_a_timeout_ends_is_the_last() {
    let queue = DeadLetterQueue::in_memory(10);
    let stack = ServiceBuilder::new()
        .layer(queue.layer())
        .layer(tower::timeout::TimeoutLayer::new(Duration::from_millis(60)))
        .layer(retry().layer())
        .service(failing());
    stack.oneshot(order(40)).await.unwrap_err();
    let letter = only(&queue).await;
    assert_eq!(messages(&letter), ["failure 1", "request timed out"]);
    let kinds: Vec<_> = letter.attempts.iter().map(|attempt| attempt.kind).collect();
    assert_eq!(kinds, [FailureKind::Error, FailureKind::Timeout]);
    assert_eq!(millis(&letter.attempts)[0], 40);
    assert!(millis(&letter.attempts)[1] <= 10);
}

#[tokio::test(start_paused = true)]
async fn nested_layers_list_their_own_attempts() {
    let (outer, inner) = (DeadLetterQueue::in_memory(10), DeadLetterQueue::in_memory(10));
    let stack = ServiceBuilder::new()
        .layer(outer.layer())
        .layer(retry().layer())
        .layer(inner.layer())
        .layer(retry().layer())
        .service(failing());
    stack.oneshot(order(1)).await.unwrap_err();
    assert_eq!(messages(&only(&outer).await), ["failure 3", "failure 6", "failure 9"]);
    let letters = inner.list(LetterFilter::all()).await.unwrap();
    assert_eq!(letters.len(), 3);
    assert_eq!(messages(&letters[1]), ["failure 4", "failure 5", "failure 6"]);
}

#[tokio::test(start_paused = true)]
async fn a_letter_names_its_origin() {
    let (first, second) = (DeadLetterQueue::in_memory(10), DeadLetterQueue::in_memory(10));
    first.layer().layer(failing()).oneshot(order(1)).await.unwrap_err();
    let origin = only(&first).await;
    assert_eq!(origin.origin, None);
    let stack = ServiceBuilder::new().layer(first.layer()).layer(second.layer()).service(failing());
    assert_eq!(first.redrive(stack, Redrive::all()).await.unwrap().failed, 1);
    assert_eq!(only(&second).await.origin, Some(origin.id));
    let same = only(&first).await;
    assert_eq!((same.id, same.first_failed, same.origin), (origin.id, origin.first_failed, None));
}

#[tokio::test(start_paused = true)]
async fn a_letter_names_the_service_that_parked_it() {
    let queue = DeadLetterQueue::builder("orders").service("checkout", "1.4.2").build().unwrap();
    queue.layer().layer(failing()).oneshot(order(1)).await.unwrap_err();
    let letter = only(&queue).await;
    assert_eq!(
        (letter.service.as_deref(), letter.service_version.as_deref()),
        (Some("checkout"), Some("1.4.2"))
    );
}

/// A letter as the first version wrote it.
const OLD: &str = r#"{
    "id":"0192f3c0-5a3c-7d4e-8f00-0123456789ab","queue":"orders","component":"payments",
    "first_failed":1730000000000000,"last_failed":1730000060000000,"kind":"timeout","error_type":"504",
    "message":"504 Gateway Timeout","causes":["the sender is gone"],"fingerprint":"0011223344556677","tries":2,
    "attempts":[{"at":1730000000000000,"took":null,"kind":"error","message":"503 Service Unavailable","redrive":false},
    {"at":1730000060000000,"took":"20ms","kind":"timeout","message":"504 Gateway Timeout","redrive":true}],
    "due":null,"expires":null,"set_aside":false,"trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":null,
    "redacted":[{"header":"authorization"}],
    "payload":{"http":{"method":"POST","uri":"/a","version":"HTTP/1.1","headers":[["x-a","1"]],"body_state":"complete"}}
}"#;

#[test]
fn letters_of_old_versions_are_read() {
    let letter: Letter = serde_json::from_str(OLD).unwrap();
    assert_eq!((letter.tries, letter.redrives, letter.attempts.len()), (2, 0, 2));
    assert_eq!((letter.attempts[1].took, letter.attempts[0].took), (Some(Duration::from_millis(20)), None));
    assert_eq!((letter.correlation_id, letter.service, letter.origin), (None, None, None));
    assert_eq!(letter.attempts[0].error_type, "");
}

/// The letter in the documents can be read, and has every field.
#[test]
fn the_documents_show_a_letter() {
    let page = include_str!("../../docs/dead-letters.md");
    let shown = page.split("```json\n").find(|text| text.contains("\"fingerprint\"")).unwrap();
    let shown: serde_json::Value = serde_json::from_str(shown.split("```").next().unwrap()).unwrap();
    let letter: Letter = serde_json::from_value(shown.clone()).unwrap();
    assert_eq!(serde_json::to_value(&letter).unwrap(), shown);
}

#[cfg(feature = "telemetry")]
#[tokio::test(start_paused = true)]
async fn a_letter_has_the_identity_of_the_telemetry() {
    use campanile::Telemetry;
    use campanile::telemetry::CorrelationId;
    use opentelemetry::Context;

    let telemetry =
        Telemetry::builder("shop").attribute("service.version", "2.0").variables(|_| None).build().unwrap();
    let queue = DeadLetterQueue::in_memory(10);
    let id: CorrelationId = "order-17".parse().unwrap();
    let attached = id.within(&Context::current()).attach();
    queue.layer().layer(failing()).oneshot(order(1)).await.unwrap_err();
    drop(attached);
    let letter = only(&queue).await;
    assert_eq!(letter.correlation_id.as_deref(), Some("order-17"));
    assert_eq!((letter.service.as_deref(), letter.service_version.as_deref()), (Some("shop"), Some("2.0")));
    assert_eq!(letter.instance.map(|instance| instance.len()), Some(36));
    drop(telemetry);
}

/// Errors that misbehave in different ways.
#[derive(Clone, Copy)]
enum Worst {
    DisplayPanics,
    DisplayFails,
    SourcePanics,
    Ring,
    Endless,
}

impl fmt::Display for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DisplayPanics => panic!("on purpose"),
            Self::DisplayFails => Err(fmt::Error),
            Self::Endless => loop {
                f.write_str("and on ")?;
            },
            _ => f.write_str("worst"),
        }
    }
}

impl fmt::Debug for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Worst(()")
    }
}

impl Error for Worst {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::SourcePanics => panic!("on purpose"),
            Self::Ring => Some(self),
            _ => None,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn p21_a_misbehaving_error_reaches_its_caller_and_is_parked() {
    for worst in [Worst::DisplayPanics, Worst::DisplayFails, Worst::SourcePanics, Worst::Ring, Worst::Endless]
    {
        let queue = DeadLetterQueue::in_memory(10);
        let service = queue.layer().layer(service_fn(move |_: Order| async move { Err::<(), _>(worst) }));
        let error = service.oneshot(order(1)).await.unwrap_err();
        assert!(error.is::<Worst>());
        let letter = only(&queue).await;
        assert_eq!(letter.error_type, "Worst");
        assert!(letter.message.len() <= 4_096 && letter.causes.len() <= 16, "{letter:?}");
    }
}

//! Calls of functions, and scopes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use campanile::{CallError, FailureKind};
use opentelemetry::trace::{SpanKind, Status};
use tracing::Instrument;

use crate::program::{started, traced};

const LIMIT: Duration = Duration::from_secs(60);

/// Fails as often as `left` says, then succeeds.
async fn flaky(left: &AtomicU32) -> Result<&'static str, std::io::Error> {
    let fails = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
    if fails { Err(std::io::Error::from(std::io::ErrorKind::TimedOut)) } else { Ok("paid") }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_retried_and_each_attempt_counts_once() {
    let campanile = started(&["dependency.retried.retry.max_attempts=3"]).await;
    let retried = campanile.dependency("retried").build().await.unwrap();
    let left = AtomicU32::new(2);
    assert_eq!(retried.call(|| flaky(&left)).await.unwrap(), "paid");
    let (timed, circuit) = (retried.timing().snapshot(), retried.breaker().unwrap().snapshot());
    assert_eq!((timed.calls, timed.failed), (3, 2));
    assert_eq!((circuit.calls, circuit.failures), (3, 2));
    let retries = retried.retry().unwrap().snapshot();
    assert_eq!((retries.calls, retries.retries, retries.successes), (1, 2, 1));

    left.store(9, Ordering::SeqCst);
    let error = retried.call(|| flaky(&left)).await.unwrap_err();
    assert!(
        matches!(&error, CallError::Inner(error) if error.kind() == std::io::ErrorKind::TimedOut),
        "{error}"
    );
    assert_eq!((left.load(Ordering::SeqCst), retried.timing().snapshot().calls), (6, 6));
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_refuses_calls_before_they_run() {
    let campanile = started(&["dependency.opens.breaker.consecutive_failures=3"]).await;
    let opens = campanile.dependency("opens").build().await.unwrap();
    let ran = AtomicU32::new(0);
    let fails = || async {
        ran.fetch_add(1, Ordering::SeqCst);
        Err::<(), _>("no")
    };
    for _ in 0..3 {
        opens.call(fails).await.unwrap_err();
    }
    let attempts = ran.load(Ordering::SeqCst);
    let error = opens.call(fails).await.unwrap_err();
    assert!(error.is_rejected() && error.to_string().contains("opens"), "{error}");
    assert_eq!(ran.load(Ordering::SeqCst), attempts, "a call that is refused does not run");
    assert_eq!(opens.timing().snapshot().calls, u64::from(attempts));
    assert!(opens.breaker().unwrap().snapshot().totals.rejected >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_retry_and_circuit_is_still_timed() {
    let campanile = started(&["dependency.bare.retry=false", "dependency.bare.breaker=false"]).await;
    let bare = campanile.dependency("bare").build().await.unwrap();
    let error = bare.call(|| async { Err::<(), _>("no") }).await.unwrap_err();
    assert!(matches!(error, CallError::Inner("no")));
    assert_eq!((bare.timing().snapshot().calls, bare.timing().snapshot().failed), (1, 1));
}

#[tokio::test]
async fn each_attempt_has_a_client_span_with_its_error() {
    let (campanile, exporter, _subscriber) =
        traced(&["dependency.spans.component=\"purse\"", "dependency.spans.retry.max_attempts=2"]).await;
    let spans = campanile.dependency("spans").build().await.unwrap();
    let left = AtomicU32::new(1);
    let backoff = spans.retry().unwrap().settings();
    assert_eq!(backoff.max_attempts, 2);
    spans.call(|| flaky(&left)).instrument(tracing::info_span!("order")).await.unwrap();
    assert!(campanile.telemetry().force_flush(LIMIT));
    let finished = exporter.get_finished_spans().unwrap();
    let order = finished.iter().find(|span| span.name == "order").unwrap();
    let attempts: Vec<_> = finished.iter().filter(|span| span.name == "spans").collect();
    let [failed, paid] = attempts[..] else { panic!("{finished:?}") };
    for attempt in [failed, paid] {
        assert_eq!(attempt.span_kind, SpanKind::Client);
        assert_eq!(attempt.parent_span_id, order.span_context.span_id());
    }
    let attribute = |key: &str| {
        failed.attributes.iter().find(|field| field.key.as_str() == key).map(|field| field.value.to_string())
    };
    assert!(
        matches!(&failed.status, Status::Error { description } if description.contains("timed out")),
        "{failed:?}"
    );
    assert_eq!(attribute("error.type").as_deref(), Some("timeout"));
    assert_eq!((&paid.status, &order.status), (&Status::Unset, &Status::Unset));
    let health = campanile.health().snapshot();
    let purse = health.components.iter().find(|component| &*component.name == "purse").unwrap();
    let calls = purse.calls.as_ref().unwrap();
    assert_eq!((calls.total, calls.failed), (2, 1), "the spans count for the component");
}

#[tokio::test]
async fn the_error_of_a_call_is_redacted_on_its_span() {
    let (campanile, exporter, _subscriber) = traced(&["dependency.secretive.retry=false"]).await;
    let secretive = campanile.dependency("secretive").build().await.unwrap();
    secretive.call(|| async { Err::<(), _>("refused: password=hunter2") }).await.unwrap_err();
    assert!(campanile.telemetry().force_flush(LIMIT));
    let text = format!("{:?}", exporter.get_finished_spans().unwrap());
    assert!(text.contains("refused") && !text.contains("hunter2"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_fallback_answers_also_while_the_circuit_is_open() {
    let campanile = started(&["dependency.falls.retry=false"]).await;
    let falls = campanile.dependency("falls").build().await.unwrap();
    let fails = || async { Err::<u32, _>("down") };
    let answer = falls.call_or(fails, |error: &CallError<&str>| {
        assert!(matches!(error, CallError::Inner("down")));
        async { 7 }
    });
    assert_eq!(answer.await.unwrap(), 7);
    falls.breaker().unwrap().force_open();
    let answer = falls.call_or(fails, |error: &CallError<&str>| {
        assert!(error.is_rejected());
        async { 8 }
    });
    assert_eq!(answer.await.unwrap(), 8);
    falls.breaker().unwrap().reset();
    let error =
        falls.call_or(fails, |_: &CallError<&str>| async { Err::<u32, _>("no cache") }).await.unwrap_err();
    assert!(error.to_string().contains("down"), "{error}");
    assert_eq!(
        falls.call_or(|| async { Ok::<_, &str>(1) }, |_: &CallError<&str>| async { 2 }).await.unwrap(),
        1
    );
}

#[tokio::test]
async fn calls_can_be_spawned_and_borrow_nothing_of_their_caller() {
    let campanile = started(&["dependency.spawned.retry.max_attempts=2"]).await;
    let spawned = campanile.dependency("spawned").build().await.unwrap();
    let (order, name) = (spawned.clone(), String::from("order"));
    let task = tokio::spawn(async move {
        let length = order.call(|| async { Ok::<_, std::io::Error>(name.len()) }).await.unwrap();
        let work = || async { Err::<usize, _>(std::io::Error::other("down")) };
        let other = order.call_or(work, |_: &CallError<std::io::Error>| async { 7 }).await.unwrap();
        (length, other)
    });
    assert_eq!(task.await.unwrap(), (5, 7));
}

#[tokio::test(start_paused = true)]
async fn a_scope_counts_what_happened_while_it_was_open() {
    let campanile = started(&[
        "dependency.scoped.retry.max_attempts=2",
        "dependency.scoped.breaker.consecutive_failures=4",
    ])
    .await;
    let scoped = campanile.dependency("scoped").build().await.unwrap();
    campanile.server("scoped").build().unwrap();
    let fails = || async { Err::<(), _>("no") };
    scoped.call(fails).await.unwrap_err();
    let scope = campanile.scope("job 17");
    scoped.call(fails).await.unwrap_err();
    scoped.call(fails).await.unwrap_err();
    campanile
        .dependency("built within")
        .build()
        .await
        .unwrap()
        .call(|| async { Ok::<_, &str>(()) })
        .await
        .unwrap();
    tokio::time::advance(Duration::from_secs(3)).await;
    let report = scope.finish();
    assert_eq!(report.name, "job 17");
    assert!(report.took >= Duration::from_secs(3), "{:?}", report.took);
    let counts = report.dependencies["scoped"];
    assert_eq!((counts.calls, counts.failed, counts.retries), (2, 2, 1), "{counts:?}");
    assert!(counts.rejected >= 1, "{counts:?}");
    assert_eq!(report.dependencies["built within"].calls, 1);
    assert_eq!(report.servers["scoped"].calls, 0);
    serde_json::to_value(&report).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_worker_retries_and_parks_as_its_section_says() {
    let campanile = started(&["worker.rows.retry={max_attempts=2}", "worker.rows.letters=true"]).await;
    let rows = campanile.worker("rows").build().await.unwrap();
    let ran = AtomicU32::new(0);
    let fails = |_: String| async {
        ran.fetch_add(1, Ordering::SeqCst);
        Err::<(), _>(std::io::Error::from(std::io::ErrorKind::TimedOut))
    };
    rows.run("row 1".to_owned(), fails).await.unwrap_err();
    assert_eq!(ran.load(Ordering::SeqCst), 2);
    let letters = rows.letters().list(campanile::LetterFilter::all()).await.unwrap();
    assert_eq!((letters.len(), letters[0].kind), (1, FailureKind::Timeout));
}

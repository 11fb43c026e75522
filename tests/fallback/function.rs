//! `call_or`: fallbacks of functions.

use std::future::pending;
use std::io;
use std::time::Duration;

use campanile::fallback::FallbackKind;
use campanile::{CallError, CircuitBreaker, Fallback, Outcome, RejectReason, Retry};
use tower::BoxError;

use crate::support::{Count, Events, secs};

fn refused() -> io::Error {
    io::ErrorKind::ConnectionRefused.into()
}

#[tokio::test]
async fn a_success_does_not_run_the_fallback() {
    let fallback = Fallback::new("prices");
    let ran = Count::default();
    let answer = fallback.call_or(async { Ok::<_, io::Error>(42) }, |_| async { ran.add() as i32 }).await;
    assert_eq!((answer.unwrap(), ran.get()), (42, 0));
    let snapshot = fallback.snapshot();
    assert_eq!((snapshot.calls, snapshot.successes), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_fallback_answers_an_error_an_open_circuit_and_a_timeout() {
    let fallback = Fallback::new("prices");
    assert_eq!(fallback.call_or(async { Err(refused()) }, |_| async { 1 }).await.unwrap(), 1);

    let breaker = CircuitBreaker::builder("prices").build().unwrap();
    breaker.force_open();
    let work = breaker.call(async { Ok::<u32, io::Error>(7) });
    let answer = fallback
        .call_or(work, |error: &CallError<io::Error>| {
            let rejected = error.is_rejected();
            async move { Ok::<_, BoxError>(if rejected { 2 } else { 0 }) }
        })
        .await;
    assert_eq!(answer.unwrap(), 2);

    let retry = Retry::builder().deadline(secs(1)).max_attempts(1).build().unwrap();
    let work = retry.run(pending::<Result<u32, io::Error>>);
    let answer = fallback.call_or(work, |error| {
        let timed_out = error.is_timed_out();
        async move { u32::from(timed_out) + 2 }
    });
    assert_eq!(answer.await.unwrap(), 3);
    assert_eq!(fallback.snapshot().answered[&FallbackKind::Function], 3);
}

#[tokio::test]
async fn the_first_error_stays_when_the_fallback_fails_too() {
    let (fallback, events) = (Fallback::new("prices"), Events::default());
    let _listening = events.listen();
    let breaker = CircuitBreaker::builder("shop").build().unwrap();
    breaker.force_open();
    for _ in 0..3 {
        let work = breaker.call(async { Ok::<u32, io::Error>(7) });
        let error = fallback.call_or(work, |_| async { Err::<u32, _>("no such file") }).await.unwrap_err();
        let CallError::Rejected(rejected) = error.first() else { panic!("{error}") };
        assert_eq!(rejected.reason(), RejectReason::ForcedOpen);
        let failed = error.fallback().unwrap();
        assert_eq!((failed.by(), failed.text()), ("prices", "no such file"));
        assert_eq!(
            error.to_string(),
            "circuit `shop` was forced open by an operator; fallback `prices` failed too: no such file"
        );
        let source = std::error::Error::source(&error).unwrap();
        assert!(campanile::Rejected::find(source).is_some());
    }
    assert_eq!(fallback.snapshot().failures, 3);
    let events = events.take();
    assert_eq!(events.len(), 1, "one line a minute: {events:?}");
    assert!(events[0].contains("no such file") && events[0].starts_with("WARN"), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn answers_of_the_fallback_are_logged_once_a_minute() {
    let (fallback, events) = (Fallback::new("prices"), Events::default());
    let _listening = events.listen();
    for _ in 0..130 {
        fallback.call_or(async { Err::<u32, _>(refused()) }, |_| async { 1 }).await.unwrap();
        tokio::time::advance(secs(1)).await;
    }
    assert_eq!(events.take().len(), 3);
}

#[tokio::test]
async fn a_panic_of_the_fallback_is_a_failure_of_the_fallback() {
    let fallback = Fallback::new("prices");
    let inside = fallback
        .call_or(async { Err::<u32, _>(refused()) }, |_| async {
            if true {
                panic!("on purpose")
            }
            7
        })
        .await
        .unwrap_err();
    assert_eq!(inside.fallback().unwrap().text(), "it panicked: on purpose");
    let outside = fallback
        .call_or(async { Err::<u32, _>(refused()) }, |_| {
            if true {
                panic!("on purpose")
            }
            async { 7 }
        })
        .await
        .unwrap_err();
    assert_eq!(outside.into_first().kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(fallback.snapshot().failures, 2);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_cancelled_in_either_try() {
    let fallback = Fallback::new("prices");
    let first = fallback.call_or(pending::<Result<u32, io::Error>>(), |_| async { 1 });
    assert!(tokio::time::timeout(secs(1), first).await.is_err());
    let second = fallback.call_or(async { Err::<u32, _>(refused()) }, |_| pending::<u32>());
    assert!(tokio::time::timeout(secs(1), second).await.is_err());
    let snapshot = fallback.snapshot();
    assert_eq!((snapshot.calls, snapshot.cancelled), (2, 2));
}

#[tokio::test]
async fn a_classifier_decides_what_leads_to_the_fallback() {
    let fallback = Fallback::new("prices");
    let rule = |result: Result<&Vec<u32>, &io::Error>| match result {
        Ok(prices) if prices.is_empty() => Outcome::Permanent(campanile::FailureKind::Error),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Outcome::Success,
        Err(_) => Outcome::Failure(campanile::FailureKind::Error),
        Ok(_) => Outcome::Success,
    };
    let call = async |first: Result<Vec<u32>, io::Error>| {
        fallback.call_or_with(rule, async { first }, |_| async { vec![1] }).await
    };
    assert_eq!(call(Ok(vec![7])).await.unwrap(), [7]);
    assert_eq!(call(Ok(vec![])).await.unwrap(), [1]);
    assert_eq!(call(Err(refused())).await.unwrap(), [1]);
    let not_found = call(Err(io::ErrorKind::NotFound.into())).await.unwrap_err();
    assert!(not_found.fallback().is_none(), "it is an answer");

    // A failed answer comes back if the fallback fails too.
    let failing = fallback.call_or_with(rule, async { Ok(vec![]) }, |_| async { Err::<Vec<u32>, _>("no") });
    assert_eq!(failing.await.unwrap(), [0_u32; 0]);
}

#[tokio::test]
async fn the_future_can_be_spawned() {
    let fallback = Fallback::new("prices");
    let task = tokio::spawn(async move {
        let breaker = CircuitBreaker::builder("x").build().unwrap();
        let work = breaker.call(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Err::<u32, _>(refused())
        });
        fallback
            .call_or(work, |error| {
                let text = error.to_string();
                async move { text.len() as u32 }
            })
            .await
    });
    assert_eq!(task.await.unwrap().unwrap(), 18);
}

#[tokio::test]
async fn a_span_learns_which_fallback_answered() {
    use tracing::Instrument as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Recorded(std::sync::Arc<std::sync::Mutex<Vec<String>>>);
    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Recorded {
        fn on_record(
            &self,
            _: &tracing::span::Id,
            values: &tracing::span::Record<'_>,
            _: tracing_subscriber::layer::Context<'_, S>,
        ) {
            self.0.lock().unwrap().push(format!("{values:?}"));
        }
    }
    let recorded = Recorded::default();
    let _listening = tracing::subscriber::set_default(tracing_subscriber::registry().with(recorded.clone()));
    let fallback = Fallback::new("prices");
    let span = tracing::info_span!("call", campanile.fallback = tracing::field::Empty);
    fallback.call_or(async { Err::<u32, _>(refused()) }, |_| async { 1 }).instrument(span).await.unwrap();
    let recorded = recorded.0.lock().unwrap();
    assert!(recorded.len() == 1 && recorded[0].contains("function"), "{recorded:?}");
}

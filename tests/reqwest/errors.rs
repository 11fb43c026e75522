//! Errors of reqwest: their kinds, and what they must not show.

use std::error::Error;
use std::time::Duration;

use campanile::dead_letter::LetterFilter;
use campanile::reqwest::HttpClient;
use campanile::{CallError, DeadLetterQueue, FailureKind, Timing};

use crate::support::{breaker, failed, raw, refused, retry, totals};

/// An error and its causes, by `Display` and by `Debug`.
fn all_of(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(|error| format!("{error} {error:?} ")).collect()
}

/// The paused clock advances while all tasks wait for the silent server.
#[tokio::test(start_paused = true)]
async fn a_timeout_of_reqwest_is_a_timeout_of_each_attempt() {
    let url = raw(None).await;
    let limit = Duration::from_secs(2);
    let of_client = reqwest::Client::builder().timeout(limit).build().unwrap();
    let plain = reqwest::Client::new();
    for (http, of_request) in [(of_client, None), (plain, Some(limit))] {
        let (retry, breaker, timing) = (retry().build().unwrap(), breaker(), Timing::new("test"));
        let payments = HttpClient::builder("payments", http.clone())
            .retry(&retry)
            .breaker(&breaker)
            .timing(&timing)
            .build();
        let mut request = http.put(&url).body("order 7");
        if let Some(limit) = of_request {
            request = request.timeout(limit);
        }
        match payments.send(request).await {
            Err(CallError::Inner(error)) => assert!(error.is_timeout(), "{error:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!((retry.snapshot().retries, failed(&timing, FailureKind::Timeout)), (2, 3));
        assert_eq!(breaker.snapshot().totals.failures[FailureKind::Timeout.index()], 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_the_retry_is_an_error_of_its_own() {
    let url = raw(None).await;
    let retry = retry().deadline(Duration::from_secs(2)).build().unwrap();
    let timing = Timing::new("test");
    let payments =
        HttpClient::builder("payments", reqwest::Client::new()).retry(&retry).timing(&timing).build();
    match payments.send(payments.client().get(url)).await {
        Err(CallError::TimedOut(why)) => assert_eq!(why.limit(), Duration::from_secs(2)),
        other => panic!("{other:?}"),
    }
    assert_eq!(failed(&timing, FailureKind::Timeout), 1);
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_not_the_circuits() {
    let (retry, breaker, timing) = (retry().build().unwrap(), breaker(), Timing::new("test"));
    let payments = HttpClient::builder("payments", reqwest::Client::new())
        .retry(&retry)
        .breaker(&breaker)
        .timing(&timing)
        .build();
    match payments.send(payments.client().get("ftp://127.0.0.1/orders")).await {
        Err(CallError::Inner(error)) => assert!(error.is_builder(), "{error:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!((retry.snapshot().retries, totals(&breaker.snapshot())), (0, (0, 1, 0)));
    assert_eq!(failed(&timing, FailureKind::Error), 1);
}

#[tokio::test]
async fn no_secret_of_a_url_is_in_an_error_or_a_letter() {
    let queue = DeadLetterQueue::in_memory(10);
    let payments = HttpClient::builder("payments", reqwest::Client::new()).letters(&queue).build();
    let url = refused().replace("http://", "http://ann:s3cret-one@");
    // Also a parameter that no rule knows.
    let query = "orders?token=s3cret-two&x=s3cret-three#s3cret-four";
    for url in [format!("{url}{query}"), format!("ftp://ann:s3cret-one@host/{query}")] {
        // Unlike a builder, this leaves the user in the URL.
        let request = reqwest::Request::new(reqwest::Method::GET, url.parse().unwrap());
        let error = payments.execute(request).await.unwrap_err();
        let text = all_of(&error);
        assert!(!text.contains("s3cret") && text.contains("/orders?[redacted]"), "{text}");
    }
    // reqwest builds no request for a URL without a host.
    let unbuilt = payments.client().get("order:7?token=s3cret-five#s3cret-six");
    let text = all_of(&payments.send(unbuilt).await.unwrap_err());
    assert!(!text.contains("s3cret") && text.contains("order:7?[redacted]"), "{text}");

    let letters = queue.list(LetterFilter::all()).await.unwrap();
    assert_eq!(letters.len(), 2);
    for letter in letters {
        let text =
            format!("{letter:?} {}", queue.get(letter.id).await.unwrap().map(|l| format!("{l:?}")).unwrap());
        for secret in ["s3cret-one", "s3cret-two", "s3cret-four"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    assert!(!format!("{payments:?}").contains("s3cret"));
}

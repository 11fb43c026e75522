//! Plain layers around responses with a status, which they do not read: they say so once, and count the calls.

#![allow(clippy::disallowed_types)] // A mutex of a test may be poisoned.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use campanile::{
    Backoff, CircuitBreaker, CircuitState, DeadLetterQueue, FailureKind, Outcome, Retry, Telemetry, Timing,
};
use http::{Response, StatusCode};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt};

/// Keeps the texts of warnings about layers.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "campanile::layers" {
            assert_eq!(*event.metadata().level(), tracing::Level::WARN);
            event.record(&mut self.clone());
        }
    }
}

impl Visit for Warnings {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0.lock().unwrap().push(format!("{value:?}"));
        }
    }
}

/// The warnings while `run` runs to its end.
fn warnings(run: impl Future<Output = ()>) -> Vec<String> {
    let warnings = Warnings::default();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let subscriber = tracing_subscriber::registry().with(warnings.clone());
    tracing::subscriber::with_default(subscriber, || runtime.block_on(run));
    let texts = warnings.0.lock().unwrap();
    texts.clone()
}

/// The calls that a handle has counted, as a scrape shows them.
fn counted(layer: &str, name: &str) -> Option<String> {
    let telemetry = Telemetry::builder("unread").prometheus().build().unwrap();
    let text = telemetry.prometheus_text();
    let of = |line: &&str| {
        line.starts_with("campanile_layer_unread_status_total{")
            && line.contains(&format!("layer=\"{layer}\""))
            && line.contains(&format!("name=\"{name}\""))
    };
    text.lines().find(of).and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
}

fn unavailable() -> Response<&'static str> {
    let mut response = Response::new("try later");
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

async fn fail(_: u32) -> Result<Response<&'static str>, Infallible> {
    Ok(unavailable())
}

async fn thrice<S: Service<u32> + Clone>(service: S)
where
    S::Error: std::fmt::Debug,
{
    for number in 0..3 {
        service.clone().oneshot(number).await.unwrap();
    }
}

fn retry(name: &str) -> Retry {
    Retry::builder()
        .name(name)
        .max_attempts(2)
        .backoff(Backoff::constant(std::time::Duration::from_millis(1)))
        .build()
        .unwrap()
}

fn says(kind: &str, name: &str, method: &str, cure: &str) -> Vec<String> {
    vec![format!(
        "{kind} `{name}` sees `http::Response` in `.{method}()`: a 503 counts as success; use {cure} with a classifier of \
         your own"
    )]
}

#[test]
fn a_breaker_says_once_that_a_503_counts_as_success() {
    let breaker = CircuitBreaker::builder("unread breaker").consecutive_failures(1).build().unwrap();
    let said = warnings(thrice(ServiceBuilder::new().layer(breaker.layer()).service(service_fn(fail))));
    assert_eq!(
        said,
        says("circuit breaker", "unread breaker", "layer", "`.http_layer()`, or `.classify(..)`")
    );
    assert_eq!(breaker.state(), CircuitState::Closed);
    assert_eq!(counted("breaker", "unread breaker").as_deref(), Some("3"));
}

#[test]
fn a_keyed_breaker_says_it_once_for_all_keys() {
    let keyed = CircuitBreaker::keyed("unread keys", |key: &u32| *key).build().unwrap();
    let said = warnings(async {
        thrice(ServiceBuilder::new().layer(keyed.layer()).service(service_fn(fail))).await;
        keyed.call(7, fail(7)).await.unwrap();
    });
    assert_eq!(said, says("circuit breaker", "unread keys", "layer", "`.http_layer()`, or `.classify(..)`"));
    assert_eq!(counted("breaker", "unread keys").as_deref(), Some("4"));
}

#[test]
fn a_retry_says_it() {
    let retry = retry("unread retry");
    let said = warnings(thrice(ServiceBuilder::new().layer(retry.layer()).service(service_fn(fail))));
    assert_eq!(said, says("retry", "unread retry", "layer", "`.http_layer()`, or `.classify(..)`"));
    assert_eq!((retry.snapshot().retries, counted("retry", "unread retry").as_deref()), (0, Some("3")));
}

#[test]
fn a_timing_says_it() {
    let timing = Timing::new("unread timing");
    let said = warnings(thrice(ServiceBuilder::new().layer(timing.layer()).service(service_fn(fail))));
    let layers = "`.http_server_layer()` or `.http_client_layer()`, or `.classify(..)`";
    assert_eq!(said, says("timing", "unread timing", "layer", layers));
    assert_eq!((timing.snapshot().failed, counted("timing", "unread timing").as_deref()), (0, Some("3")));
}

#[test]
fn a_queue_of_dead_letters_says_it() {
    let queue = DeadLetterQueue::in_memory(10).named("unread letters");
    let said = warnings(async {
        thrice(ServiceBuilder::new().layer(queue.layer()).service(service_fn(fail))).await;
        assert_eq!(queue.len().await.unwrap(), 0);
    });
    assert_eq!(
        said,
        says("dead letter queue", "unread letters", "layer", "`.http_layer()`, or `.classify(..)`")
    );
    assert_eq!(counted("dead_letter", "unread letters").as_deref(), Some("3"));
}

#[test]
fn call_and_run_say_it() {
    let (breaker, retry) = (CircuitBreaker::builder("unread call").build().unwrap(), retry("unread run"));
    let said = warnings(async {
        breaker.call(fail(1)).await.unwrap();
        breaker.call(fail(2)).await.unwrap();
    });
    assert_eq!(said, says("circuit breaker", "unread call", "call", "`.http_layer()`, or `.call_with(..)`"));
    let said = warnings(async {
        retry.run(|| fail(1)).await.unwrap();
        retry.run(|| fail(2)).await.unwrap();
    });
    assert_eq!(said, says("retry", "unread run", "run", "`.http_layer()`, or `.run_with(..)`"));
    assert_eq!(counted("breaker", "unread call").as_deref(), Some("2"));
    assert_eq!(counted("retry", "unread run").as_deref(), Some("2"));
}

#[test]
fn nothing_is_said_of_other_values_and_of_own_classifiers() {
    let breaker = CircuitBreaker::builder("read").build().unwrap();
    let (retry, timing) = (retry("read"), Timing::new("read"));
    let queue = DeadLetterQueue::in_memory(10).named("read");
    let status = |response: &Response<&str>| match response.status() {
        StatusCode::OK => Outcome::Success,
        _ => Outcome::Failure(FailureKind::Error),
    };
    let boxed =
        move |result: Result<&Response<&'static str>, &BoxError>| result.map_or(Outcome::Success, status);
    let any = move |result: Result<&Response<&'static str>, &(dyn std::error::Error + 'static)>| {
        result.map_or(Outcome::Success, status)
    };
    let said = warnings(async {
        let own = ServiceBuilder::new()
            .layer(queue.layer().classify(boxed))
            .layer(retry.layer().classify(boxed))
            .layer(breaker.layer().classify(boxed))
            .layer(timing.layer().classify(any));
        thrice(own.service(service_fn(fail))).await;
        let keyed = CircuitBreaker::keyed("read", |key: &u32| *key).build().unwrap();
        thrice(keyed.layer().classify(boxed).layer(service_fn(fail))).await;
        let text = service_fn(|_: u32| async { Ok::<_, Infallible>("fine") });
        let plain = ServiceBuilder::new().layer(queue.layer()).layer(retry.layer()).layer(breaker.layer());
        thrice(plain.layer(timing.layer()).service(text)).await;
        breaker.call_with(any_result, fail(1)).await.unwrap();
        retry.run_with(any_result, || fail(1)).await.unwrap();
    });
    assert_eq!(said, Vec::<String>::new());
    for layer in ["breaker", "retry", "timing", "dead_letter"] {
        assert_eq!(counted(layer, "read"), None, "{layer}");
    }
    assert_eq!(timing.snapshot().failed, 6, "two attempts of each call");
}

fn any_result(_: Result<&Response<&'static str>, &Infallible>) -> Outcome {
    Outcome::Success
}

//! The cost of a layer per successful call, compared with its peers: `cargo bench --bench layers`.
//!
//! The inner service answers at once, so all time is that of the layer. Compare medians of one run; absolute numbers differ
//! from machine to machine.

#![allow(clippy::disallowed_methods)] // A bench reads the real clock.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use campanile::{
    Backoff, CircuitBreaker, DeadLetterQueue, Fallback, Retry, RetryBudget, Timing, Window, fallback,
};
use criterion::{Criterion, criterion_group, criterion_main};
use tower::retry::{Policy, RetryLayer};
use tower::{BoxError, Layer, Service, ServiceBuilder, service_fn};
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, SlidingWindowType};

/// A year, so that no circuit turns half-open during a measurement.
const LONG: Duration = Duration::from_secs(31_536_000);

fn answer(n: u64) -> Ready<Result<u64, Infallible>> {
    ready(Ok(n))
}

fn refuse(_: u64) -> Ready<Result<u64, BoxError>> {
    ready(Err("broken".into()))
}

/// Polls one call to its end on this thread.
fn drive<S: Service<u64>>(service: &mut S, request: u64) -> Result<S::Response, S::Error> {
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        match service.poll_ready(&mut cx) {
            Poll::Ready(Ok(())) => break,
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => {}
        }
    }
    let mut call = pin!(service.call(request));
    loop {
        if let Poll::Ready(result) = call.as_mut().poll(&mut cx) {
            return result;
        }
    }
}

fn bench_success<S: Service<u64>>(c: &mut Criterion, group: &str, name: &str, mut service: S) {
    c.benchmark_group(group).bench_function(name, |b| {
        b.iter(|| {
            let _ = black_box(drive(&mut service, black_box(1)));
        });
    });
}

fn count_window() -> CircuitBreaker {
    CircuitBreaker::builder("bench")
        .window(Window::count(100))
        .open_for(Backoff::constant(LONG))
        .build()
        .expect("the settings are in range")
}

fn time_window() -> CircuitBreaker {
    CircuitBreaker::builder("bench")
        .window(Window::time(Duration::from_secs(3_600)))
        .slow_call(Duration::from_secs(2), 0.8)
        .open_for(Backoff::constant(LONG))
        .build()
        .expect("the settings are in range")
}

fn closed(c: &mut Criterion) {
    let group = "closed breaker, count window";
    bench_success(c, group, "bare service", service_fn(answer));
    bench_success(c, group, "campanile", count_window().layer().layer(service_fn(answer)));
    let peer = CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_size(100)
        .minimum_number_of_calls(10)
        .build()
        .expect("the settings are in range");
    bench_success(c, group, "tower-resilience", peer.layer(service_fn(answer)));
}

/// Calls with a thousand keys in turn, which do not fit into the L1 cache.
fn keyed(c: &mut Criterion) {
    const KEYS: u64 = 1_000;
    let mut group = c.benchmark_group("closed breaker, count window, 1,000 keys in turn");
    let mut bench = |name: &str, service: &mut dyn FnMut(u64)| {
        group.bench_function(name, |b| {
            let mut calls = 0;
            b.iter(|| {
                calls += 1;
                service(black_box(calls % KEYS));
            });
        });
    };
    let mut one = count_window().layer().layer(service_fn(answer));
    bench("one circuit for all", &mut |n| drop(black_box(drive(&mut one, n))));
    let numbers = CircuitBreaker::keyed("bench", |n: &u64| *n).build().expect("the settings are in range");
    let mut numbers = numbers.layer().layer(service_fn(answer));
    bench("campanile, keys are numbers", &mut |n| drop(black_box(drive(&mut numbers, n))));
    let hosts: Arc<[Arc<str>]> = (0..KEYS).map(|n| format!("host-{n}.example.net").into()).collect();
    let host = move |n: &u64| Arc::clone(&hosts[*n as usize]);
    let hosts = CircuitBreaker::keyed("bench", host).build().expect("the settings are in range");
    let mut hosts = hosts.layer().layer(service_fn(answer));
    bench("campanile, keys are host names", &mut |n| drop(black_box(drive(&mut hosts, n))));
}

fn slow_calls(c: &mut Criterion) {
    let group = "closed breaker, slow calls, time window of 10,000 calls";
    let mut ours = time_window().layer().layer(service_fn(answer));
    for _ in 0..10_000 {
        let _ = drive(&mut ours, 1);
    }
    bench_success(c, group, "campanile", ours);
    // The peer's window only grows here, so each sample starts with a new window of 10,000.
    c.benchmark_group(group).sample_size(10).bench_function("tower-resilience", |b| {
        b.iter_custom(|iterations| {
            let mut spent = Duration::ZERO;
            let mut left = iterations;
            while left > 0 {
                let mut service = CircuitBreakerLayer::builder()
                    .failure_rate_threshold(0.5)
                    .sliding_window_type(SlidingWindowType::TimeBased)
                    .sliding_window_duration(Duration::from_secs(3_600))
                    .slow_call_duration_threshold(Duration::from_secs(2))
                    .slow_call_rate_threshold(0.8)
                    .minimum_number_of_calls(10)
                    .build()
                    .expect("the settings are in range")
                    .layer(service_fn(answer));
                for _ in 0..10_000 {
                    let _ = drive(&mut service, 1);
                }
                let now = left.min(200);
                let began = Instant::now();
                for _ in 0..now {
                    let _ = black_box(drive(&mut service, black_box(1)));
                }
                spent += began.elapsed();
                left -= now;
            }
            spent
        });
    });
}

fn open(c: &mut Criterion) {
    let group = "open breaker: refusal";
    let breaker = count_window();
    breaker.force_open();
    bench_success(c, group, "campanile, forced open", breaker.layer().layer(service_fn(answer)));
    let breaker = count_window();
    let mut ours = breaker.layer().layer(service_fn(refuse));
    for _ in 0..10 {
        let _ = drive(&mut ours, 1);
    }
    bench_success(c, group, "campanile", ours);
    let peer = CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_size(100)
        .minimum_number_of_calls(10)
        .wait_duration_in_open(LONG)
        .build()
        .expect("the settings are in range");
    let mut peer = peer.layer(service_fn(refuse));
    for _ in 0..100 {
        let _ = drive(&mut peer, 1);
    }
    bench_success(c, group, "tower-resilience", peer);
}

fn two_threads(c: &mut Criterion) {
    let group = "closed breaker, count window, two threads on one circuit: per call";
    let ours = count_window().layer().layer(service_fn(answer));
    c.benchmark_group(group).bench_function("campanile", |b| {
        b.iter_custom(|iterations| in_parallel(iterations, || ours.clone()));
    });
    let peer = CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_size(100)
        .minimum_number_of_calls(10)
        .build()
        .expect("the settings are in range")
        .layer(service_fn(answer));
    c.benchmark_group(group).bench_function("tower-resilience", |b| {
        b.iter_custom(|iterations| in_parallel(iterations, || peer.clone()));
    });
}

/// Two threads make `iterations` calls each at the same time. Returns the time of the slower one.
fn in_parallel<S: Service<u64> + Send>(iterations: u64, service: impl Fn() -> S) -> Duration {
    let (mut first, mut second) = (service(), service());
    let barrier = std::sync::Barrier::new(2);
    let run = |service: &mut S| {
        barrier.wait();
        let began = Instant::now();
        for _ in 0..iterations {
            let _ = black_box(drive(service, black_box(1)));
        }
        began.elapsed()
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| run(&mut first));
        let mine = run(&mut second);
        other.join().map_or(mine, |other| other.max(mine))
    })
}

fn timing(c: &mut Criterion) {
    let group = "timing";
    bench_success(c, group, "bare service", service_fn(answer));
    bench_success(c, group, "campanile, no pipeline", Timing::new("bench").layer().layer(service_fn(answer)));
}

/// A policy of `tower::retry` that retries any error twice.
#[derive(Clone)]
struct Twice(u32);

impl<Res> Policy<u64, Res, Infallible> for Twice {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut u64, result: &mut Result<Res, Infallible>) -> Option<Ready<()>> {
        if result.is_ok() || self.0 == 0 {
            return None;
        }
        self.0 -= 1;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &u64) -> Option<u64> {
        Some(*request)
    }
}

fn our_retry() -> Retry {
    Retry::builder()
        .max_attempts(3)
        .budget(RetryBudget::ratio(0.2).min_per_second(10))
        .build()
        .expect("the settings are in range")
}

fn retry(c: &mut Criterion) {
    let group = "retry, the first attempt succeeds";
    bench_success(c, group, "bare service", service_fn(answer));
    bench_success(c, group, "campanile, with a budget", our_retry().layer().layer(service_fn(answer)));
    bench_success(c, group, "tower::retry", RetryLayer::new(Twice(2)).layer(service_fn(answer)));
    let peer = tower_resilience_retry::RetryLayer::<u64, u64, Infallible>::builder().max_attempts(3).build();
    bench_success(c, group, "tower-resilience", peer.layer(service_fn(answer)));
}

fn fallbacks(c: &mut Criterion) {
    let group = "fallback, the first try succeeds";
    let prices = Fallback::new("bench");
    bench_success(c, group, "bare service", service_fn(answer));
    let value = prices.layer(fallback::value(7)).layer(service_fn(answer));
    bench_success(c, group, "campanile: a value", value);
    let other = prices.layer(fallback::service(service_fn(answer))).layer(service_fn(answer));
    bench_success(c, group, "campanile: another service", other);
    let last_good = prices.layer(fallback::last_good(|n: &u64| *n)).layer(service_fn(answer));
    bench_success(c, group, "campanile: the last good answer", last_good);
    let function = service_fn(|n| prices.call_or(answer(n), |_| async { 7 }));
    bench_success(c, group, "campanile: `call_or`", function);
}

fn stack(c: &mut Criterion) {
    let group = "the whole stack, a success";
    let queue = DeadLetterQueue::in_memory(1_000);
    bench_success(c, group, "campanile: dead letters alone", queue.layer().layer(service_fn(answer)));
    let ours = ServiceBuilder::new()
        .layer(queue.layer())
        .layer(our_retry().layer())
        .layer(count_window().layer())
        .layer(Timing::new("bench").layer())
        .service(service_fn(answer));
    bench_success(c, group, "campanile: dead letters, retry, breaker, timing", ours);
    let breaker = CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_size(100)
        .minimum_number_of_calls(10)
        .build()
        .expect("the settings are in range");
    let guarded = breaker.layer(service_fn(answer));
    let peer = tower_resilience_retry::RetryLayer::<u64, u64, _>::builder().max_attempts(3).build();
    bench_success(c, group, "tower-resilience: retry, breaker", peer.layer(guarded));
}

/// A `GET` over loopback: reqwest alone, and with all layers of an `HttpClient` around it.
#[cfg(feature = "reqwest")]
fn http_client(c: &mut Criterion) {
    use campanile::reqwest::HttpClient;
    use tokio::runtime;

    let (sender, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let app = axum::Router::new().route("/", axum::routing::get(|| async { "two cups" }));
            axum::serve(listener, app).await.unwrap();
        });
    });
    let url: reqwest::Url = format!("http://{}/", address.recv().unwrap()).parse().unwrap();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (http, queue) = (reqwest::Client::new(), DeadLetterQueue::in_memory(1_000));
    let (retry, breaker, timing) = (our_retry(), count_window(), Timing::new("bench"));
    let layers = HttpClient::builder("bench", http.clone())
        .letters(&queue)
        .retry(&retry)
        .breaker(&breaker)
        .timing(&timing)
        .build();
    let mut group = c.benchmark_group("http_client");
    group.bench_function("reqwest", |b| {
        b.iter(|| {
            let request = reqwest::Request::new(reqwest::Method::GET, url.clone());
            runtime.block_on(async { http.execute(request).await.unwrap().bytes().await.unwrap() })
        });
    });
    group.bench_function("all layers", |b| {
        b.iter(|| {
            let request = reqwest::Request::new(reqwest::Method::GET, url.clone());
            runtime.block_on(async { layers.execute(request).await.unwrap().bytes().await.unwrap() })
        });
    });
}

#[cfg(not(feature = "reqwest"))]
fn http_client(_: &mut Criterion) {}

criterion_group!(
    layers,
    closed,
    keyed,
    slow_calls,
    open,
    two_threads,
    retry,
    timing,
    fallbacks,
    stack,
    http_client
);
criterion_main!(layers);

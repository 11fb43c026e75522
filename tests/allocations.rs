//! Property 12: a call that succeeds costs no allocation, layer by layer and through all of them. A separate binary,
//! for it counts all of them.
#![allow(unsafe_code)] // An allocator is unsafe by its nature; the library forbids it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use campanile::{CircuitBreaker, DeadLetterQueue, Fallback, Retry, Timing, Window, fallback};
use tower::{BoxError, Layer, Service, ServiceBuilder, service_fn};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The allocations of a thousand calls of `service`, after a first call.
fn allocations<S: Service<R>, R>(mut service: S, request: impl Fn() -> R) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let mut call = || {
        let request = request();
        let before = ALLOCATIONS.with(Cell::get);
        assert!(service.poll_ready(&mut cx).is_ready());
        let answer = pin!(service.call(request)).poll(&mut cx);
        assert!(matches!(answer, Poll::Ready(Ok(_))));
        drop(answer);
        ALLOCATIONS.with(Cell::get) - before
    };
    call();
    (0..1_000).map(|_| call()).sum()
}

fn breaker() -> CircuitBreaker {
    CircuitBreaker::builder("test")
        .slow_call(Duration::from_secs(1), 0.5)
        .window(Window::time(Duration::from_secs(10)))
        .build()
        .unwrap()
}

fn retry() -> Retry {
    Retry::builder()
        .deadline(Duration::from_secs(10))
        .attempt_timeout(Duration::from_secs(1))
        .build()
        .unwrap()
}

#[tokio::test]
async fn p12_a_plain_call_that_succeeds_allocates_nothing() {
    let inner = service_fn(|n: u32| async move { Ok::<_, BoxError>(n + 1) });
    let boxing = service_fn(|n: u32| async move { Ok::<_, BoxError>(Box::new(n)) });
    assert_eq!(allocations(boxing, || 1), 1_000, "allocations are counted");
    assert_eq!(allocations(breaker().layer().layer(inner), || 1), 0);
    assert_eq!(allocations(Timing::new("test").layer().layer(inner), || 1), 0);
    assert_eq!(allocations(retry().layer().layer(inner), || 1), 0);
    let keyed = CircuitBreaker::keyed("test", |n: &u32| n % 7).build().unwrap();
    (0..7).for_each(|key| drop(keyed.circuit(key)));
    let next = Cell::new(0);
    assert_eq!(allocations(keyed.layer().layer(inner), || next.replace(next.get() + 1)), 0);
    let queue = DeadLetterQueue::in_memory(10);
    assert_eq!(allocations(queue.layer().layer(inner), || 1), 0);
    let other = Fallback::new("test");
    assert_eq!(allocations(other.layer(fallback::value(7)).layer(inner), || 1), 0);
    assert_eq!(allocations(other.layer(fallback::service(inner)).layer(inner), || 1), 0);
    let stack = ServiceBuilder::new()
        .layer(other.layer(fallback::value(7)))
        .layer(queue.layer())
        .layer(retry().layer())
        .layer(breaker().layer())
        .layer(Timing::new("test").layer())
        .service(inner);
    assert_eq!(allocations(stack, || 1), 0);
}

#[tokio::test]
async fn p12_a_function_that_succeeds_allocates_nothing() {
    let (breaker, retry) = (breaker(), retry());
    let keyed = CircuitBreaker::keyed("test", |key: &u64| *key).build().unwrap();
    let calls = service_fn(|()| keyed.call(7, async { Ok::<_, BoxError>(1) }));
    assert_eq!(allocations(calls, || ()), 0);
    let runs = service_fn(|()| retry.run(|| async { Ok::<_, BoxError>(1) }));
    assert_eq!(allocations(runs, || ()), 0);
    let calls = service_fn(|()| breaker.call(async { Ok::<_, BoxError>(1) }));
    assert_eq!(allocations(calls, || ()), 0);
    let fallback = Fallback::new("test");
    let work = || async { Ok::<_, std::io::Error>(1) };
    let calls = service_fn(|()| fallback.call_or(breaker.call(work()), |_| async { 2 }));
    assert_eq!(allocations(calls, || ()), 0);
    let connect = || async { Ok::<_, std::io::Error>(1) };
    let db = fallback::Alternatives::builder("test").add("primary", connect).build().unwrap();
    let calls = service_fn(|()| db.call(|n| async move { Ok::<_, std::io::Error>(n) }));
    assert_eq!(allocations(calls, || ()), 0);
}

#[cfg(feature = "worker")]
#[tokio::test]
async fn p12_an_item_that_succeeds_allocates_nothing_but_its_span() {
    let builder = campanile::Worker::builder("test").retry(&retry()).breaker(&breaker());
    let worker = builder.build().unwrap();
    let runs = service_fn(|()| worker.run(1_u32, |n| async move { Ok::<_, BoxError>(n) }));
    assert_eq!(allocations(runs, || ()), 0);
    let tracks = service_fn(|()| worker.track("fetch", 1, async { Ok::<_, BoxError>(1) }));
    assert_eq!(allocations(tracks, || ()), 0);
    let counts = service_fn(|()| {
        worker.items().ingested(1).skipped("duplicate", 1);
        std::future::ready(Ok::<_, BoxError>(()))
    });
    assert_eq!(allocations(counts, || ()), 0);
}

#[cfg(feature = "http")]
mod http {
    use super::*;
    use ::http::{Request, Response, Uri};
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};

    /// The first call logs a warning.
    #[tokio::test]
    async fn p12_a_response_whose_status_is_not_read_costs_no_allocation_after_the_first() {
        let stack = ServiceBuilder::new()
            .layer(DeadLetterQueue::in_memory(10).layer())
            .layer(retry().layer())
            .layer(breaker().layer())
            .layer(Timing::new("test").layer())
            .service(service_fn(|()| async { Ok::<_, BoxError>(Response::new(())) }));
        assert_eq!(allocations(stack, || ()), 0);
    }

    /// Calls the service and reads the response body to its end.
    fn read<S, B>(service: S) -> impl Service<(), Response = ()>
    where
        S: Service<Request<()>, Response = Response<B>> + Clone,
        B: ::http_body::Body,
    {
        let uri = Uri::from_static("http://localhost:8080/pkg.Greeter/Hello?a=b");
        service_fn(move |()| {
            let mut service = service.clone();
            let mut request = Request::new(());
            *request.uri_mut() = uri.clone();
            async move {
                std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
                let mut body = pin!(service.call(request).await?.into_body());
                while body.frame().await.is_some() {}
                Ok::<_, S::Error>(())
            }
        })
    }

    #[tokio::test]
    async fn p12_an_exchange_that_succeeds_allocates_nothing() {
        let inner = service_fn(|_: Request<()>| async {
            Ok::<_, BoxError>(Response::new(Full::new(Bytes::from_static(b"body"))))
        });
        let timing = Timing::new("test");
        assert_eq!(allocations(read(breaker().http_layer().layer(inner)), || ()), 0);
        let authority = |request: &Request<()>| request.uri().authority().cloned().unwrap();
        let keyed = CircuitBreaker::keyed("test", authority).build().unwrap();
        assert_eq!(allocations(read(keyed.http_layer().layer(inner)), || ()), 0);
        assert_eq!(allocations(read(timing.http_server_layer().layer(inner)), || ()), 0);
        let value = fallback::value(Response::new(Bytes::from_static(b"other")));
        let layer = Fallback::new("test").http_layer(value);
        assert_eq!(allocations(read(layer.layer(inner)), || ()), 0);
        assert_eq!(allocations(read(timing.http_client_layer().layer(inner)), || ()), 0);
        #[cfg(feature = "grpc")]
        assert_eq!(allocations(read(timing.grpc_client_layer().layer(inner)), || ()), 0);
        assert!(timing.snapshot().calls > 2_000);
    }

    /// The dead-letter layer clones the head of a request, and wraps its body.
    #[tokio::test]
    async fn p12_dead_letters_clone_the_head_once_and_no_body() {
        use campanile::retry::ReplayBody;

        const BODY: &[u8] = &[7; 10_000];
        let request = || {
            let mut request = Request::post("http://localhost:8080/orders?a=b");
            for (name, value) in [("accept", "*/*"), ("user-agent", "curl"), ("x-tenant", "a")] {
                request = request.header(name, value);
            }
            request.body(Full::new(Bytes::from_static(BODY))).unwrap()
        };
        let bare = service_fn(|request: Request<Full<Bytes>>| async move {
            let body = request.into_body().collect().await?.to_bytes();
            assert_eq!(body.as_ptr(), BODY.as_ptr());
            Ok::<_, BoxError>(Response::new(()))
        });
        let inner = service_fn(|request: Request<ReplayBody>| async move {
            let body = request.into_body().collect().await?.to_bytes();
            assert_eq!(body.as_ptr(), BODY.as_ptr(), "the body was not copied");
            Ok::<_, BoxError>(Response::new(()))
        });
        let queue = DeadLetterQueue::in_memory(10);
        let through = allocations(queue.http_layer().layer(inner), request);
        let cloning = service_fn(|request: Request<Full<Bytes>>| async move {
            let head = (request.method().clone(), request.uri().clone(), request.headers().clone());
            let body = request.into_body().collect().await?.to_bytes();
            drop((head, body));
            Ok::<_, BoxError>(Response::new(()))
        });
        let (bare, cloned) = (allocations(bare, request), allocations(cloning, request));
        println!(
            "allocations of a thousand calls: without the layer {bare}, with a clone of the head {cloned}, with the layer {through}"
        );
        // The boxed body, its buffer, and the list of its frames.
        assert_eq!(through - cloned, 3_000);
        assert!(cloned > bare);
    }

    #[cfg(feature = "telemetry")]
    #[tokio::test]
    async fn p12_trace_headers_allocate_only_their_context() {
        use campanile::Telemetry;
        use campanile::telemetry::{Correlation, propagator};

        const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let telemetry = Telemetry::builder("test").variables(|_| None).build().unwrap();
        let inner = service_fn(|request: Request<()>| async move {
            drop(request);
            Ok::<_, BoxError>(Response::new(String::new()))
        });
        let with = |headers: &'static [(&'static str, &'static str)]| {
            move || {
                let mut request = Request::new(());
                for (name, value) in headers {
                    request.headers_mut().insert(*name, ::http::HeaderValue::from_static(value));
                }
                request
            }
        };
        let others = with(&[("accept", "*/*"), ("user-agent", "curl")]);
        let traced = with(&[("accept", "*/*"), ("traceparent", PARENT)]);
        let stated = with(&[("traceparent", PARENT), ("tracestate", "a=1")]);
        let bad = with(&[("traceparent", "00-short")]);
        let count = |request: &dyn Fn() -> Request<()>| {
            let service = telemetry.http_server_layer().layer(inner);
            allocations(service, request)
        };
        assert_eq!(count(&others), 0);
        assert_eq!(count(&bad), 0);
        // Only the span of the context.
        assert_eq!(count(&traced), 1_000);
        let (stated, tagged) = (count(&stated), count(&with(&[("baggage", "tenant=blue")])));
        assert_eq!(allocations(telemetry.http_client_layer().layer(inner), others), 0);
        let b3 = telemetry.http_server_layer().propagator(propagator(["b3"]).unwrap());
        let b3 = allocations(b3.layer(inner), with(&[("accept", "*/*")]));
        let correlation = telemetry.http_server_layer().correlation(Correlation::default());
        let correlation = allocations(correlation.layer(inner), with(&[("x-request-id", "order-17")]));
        println!(
            "allocations of a thousand requests: with tracestate {stated}, with baggage {tagged}, \
             without B3 headers by a custom propagator {b3}, correlation id {correlation}"
        );
    }
}

#[cfg(feature = "telemetry")]
mod spans {
    use campanile::Telemetry;
    use campanile::telemetry::Sampling;
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SpanData, SpanProcessor};
    use tracing::info_span;
    use tracing_subscriber::prelude::*;

    use super::*;

    /// A span processor that drops all spans.
    #[derive(Debug)]
    struct DropSpans;

    impl SpanProcessor for DropSpans {
        fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &opentelemetry::Context) {}

        fn on_end(&self, span: SpanData) {
            drop(span);
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    /// The allocations of a thousand spans with three fields.
    fn of_spans(sampling: Sampling, activation: bool) -> usize {
        let builder = Telemetry::builder("test").variables(|_| None).sampling(sampling);
        let telemetry = builder
            .configure(|settings| settings.activation = activation)
            .span_processor(DropSpans)
            .build()
            .unwrap();
        let subscriber = tracing_subscriber::registry().with(telemetry.span_layer());
        let work = || {
            let span = info_span!("order", id = 17_u64, customer = "ada", express = true);
            let _entered = span.enter();
        };
        tracing::subscriber::with_default(subscriber, || {
            (0..100).for_each(|_| work());
            let before = ALLOCATIONS.with(Cell::get);
            (0..1_000).for_each(|_| work());
            ALLOCATIONS.with(Cell::get) - before
        })
    }

    #[test]
    fn a_span_that_is_not_sampled_allocates_its_context_for_opentelemetry_or_nothing() {
        assert_eq!(of_spans(Sampling::AlwaysOff, false), 0);
        assert_eq!(of_spans(Sampling::AlwaysOff, true), 1_000);
    }

    #[test]
    fn a_sampled_span_with_three_fields_allocates_four_times_at_most() {
        // The attributes and their text.
        assert_eq!(of_spans(Sampling::AlwaysOn, false), 2_000);
        assert_eq!(of_spans(Sampling::AlwaysOn, true), 3_000);
    }
}

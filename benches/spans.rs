//! The cost of a span, compared with `tracing-opentelemetry`: `cargo bench --bench spans`.
//!
//! Baselines first: no subscriber, then a bare registry. Ours records metrics and vital signs for every span; the peer makes
//! traces only. Compare medians of one run; absolute numbers differ from machine to machine.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use campanile::Telemetry;
use campanile::telemetry::{Console, Sampling};
use criterion::{Criterion, criterion_group, criterion_main};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter, SpanProcessor,
};
use tracing::{Dispatch, dispatcher, info, info_span, warn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

/// A processor that drops finished spans, so that no export is measured.
#[derive(Debug)]
struct Drop;

impl SpanProcessor for Drop {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        drop(std::hint::black_box(span));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn ours(sampling: Sampling) -> (Telemetry, Dispatch) {
    let telemetry = Telemetry::builder("bench")
        .sampling(sampling)
        .span_processor(Drop)
        .build()
        .expect("a pipeline without exporters");
    let dispatch = Dispatch::new(registry().with(telemetry.span_layer()));
    (telemetry, dispatch)
}

fn peer(sampler: Sampler) -> (SdkTracerProvider, Dispatch) {
    let provider = SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(Drop).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
    (provider, Dispatch::new(registry().with(layer)))
}

fn bench(c: &mut Criterion, group: &str, name: &str, dispatch: &Dispatch, mut work: impl FnMut()) {
    dispatcher::with_default(dispatch, || {
        c.benchmark_group(group).bench_function(name, |b| b.iter(&mut work));
    });
}

fn span_with_fields() {
    let span = info_span!("order", id = 17_u64, customer = "ada", express = true);
    let _entered = span.enter();
}

fn spans(c: &mut Criterion) {
    let group = "a span with three fields, entered once";
    bench(c, group, "no subscriber", &Dispatch::none(), span_with_fields);
    bench(c, group, "bare registry", &Dispatch::new(registry()), span_with_fields);
    let (_telemetry, dispatch) = ours(Sampling::AlwaysOff);
    bench(c, group, "campanile, not sampled, metrics and health", &dispatch, span_with_fields);
    let (_provider, dispatch) = peer(Sampler::AlwaysOff);
    bench(c, group, "tracing-opentelemetry, not sampled", &dispatch, span_with_fields);
    let (_telemetry, dispatch) = ours(Sampling::AlwaysOn);
    bench(c, group, "campanile, sampled, metrics and health", &dispatch, span_with_fields);
    let (_provider, dispatch) = peer(Sampler::AlwaysOn);
    bench(c, group, "tracing-opentelemetry, sampled", &dispatch, span_with_fields);
}

/// An exporter that drops spans.
#[derive(Debug)]
struct Sink;

impl SpanExporter for Sink {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        drop(std::hint::black_box(batch));
        Ok(())
    }
}

fn batches(c: &mut Criterion) {
    let group = "a sampled span with three fields, to a batch exporter";
    let telemetry = Telemetry::builder("bench").sampling(Sampling::AlwaysOn).span_exporter(Sink);
    let telemetry = telemetry.build().expect("a pipeline with an exporter that cannot fail");
    let dispatch = Dispatch::new(registry().with(telemetry.span_layer()));
    bench(c, group, "campanile, metrics and health", &dispatch, span_with_fields);
    let batch = BatchSpanProcessor::builder(Sink).build();
    let provider = SdkTracerProvider::builder().with_span_processor(batch).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
    bench(c, group, "tracing-opentelemetry", &Dispatch::new(registry().with(layer)), span_with_fields);
}

/// The cost of a span on concurrent threads that open and close spans of one name.
#[allow(clippy::disallowed_methods)] // A bench reads the real clock.
fn threads(c: &mut Criterion) {
    let run = |c: &mut Criterion, group: &str, dispatch: &Dispatch| {
        for threads in [1, 2] {
            c.benchmark_group(group).bench_function(format!("{threads} at once"), |b| {
                b.iter_custom(|spans| {
                    let ready = Barrier::new(threads);
                    let work = || {
                        dispatcher::with_default(dispatch, || {
                            span_with_fields();
                            ready.wait();
                            let start = Instant::now();
                            (0..spans).for_each(|_| span_with_fields());
                            start.elapsed()
                        })
                    };
                    thread::scope(|scope| {
                        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
                        let took: Duration =
                            running.into_iter().map(|thread| thread.join().expect("it only counts")).sum();
                        took / u32::try_from(threads).expect("a few")
                    })
                });
            });
        }
    };
    run(c, "threads, bare registry", &Dispatch::new(registry()));
    let (_telemetry, dispatch) = ours(Sampling::AlwaysOff);
    run(c, "threads, campanile, not sampled", &dispatch);
    let (_telemetry, dispatch) = ours(Sampling::AlwaysOn);
    run(c, "threads, campanile, sampled", &dispatch);
    let (_provider, dispatch) = peer(Sampler::AlwaysOn);
    run(c, "threads, tracing-opentelemetry, sampled", &dispatch);
}

fn enters(c: &mut Criterion) {
    let group = "a further enter and exit";
    let run = |c: &mut Criterion, name: &str, dispatch: &Dispatch| {
        dispatcher::with_default(dispatch, || {
            let span = info_span!("order");
            drop(span.enter());
            c.benchmark_group(group).bench_function(name, |b| b.iter(|| drop(span.enter())));
        });
    };
    run(c, "bare registry", &Dispatch::new(registry()));
    let (_telemetry, dispatch) = ours(Sampling::AlwaysOn);
    run(c, "campanile, activation on", &dispatch);
    let telemetry = Telemetry::builder("bench")
        .configure(|settings| settings.activation = false)
        .sampling(Sampling::AlwaysOn)
        .span_processor(Drop)
        .build()
        .expect("a pipeline without exporters");
    run(c, "campanile, activation off", &Dispatch::new(registry().with(telemetry.span_layer())));
    let (_provider, dispatch) = peer(Sampler::AlwaysOn);
    run(c, "tracing-opentelemetry", &dispatch);
}

fn events(c: &mut Criterion) {
    let group = "a span with a hundred events";
    let work = || {
        let span = info_span!("order");
        let _entered = span.enter();
        (0..100_u64).for_each(|id| info!(id, "taken"));
    };
    bench(c, group, "bare registry", &Dispatch::new(registry()), work);
    let (_telemetry, dispatch) = ours(Sampling::AlwaysOn);
    bench(c, group, "campanile", &dispatch, work);
    let (_provider, dispatch) = peer(Sampler::AlwaysOn);
    bench(c, group, "tracing-opentelemetry", &dispatch, work);

    let group = "a span with a hundred warnings, which are counted too";
    let work = || {
        let span = info_span!("order");
        let _entered = span.enter();
        (0..100_u64).for_each(|id| warn!(id, "taken"));
    };
    for (name, sampling) in [("sampled", Sampling::AlwaysOn), ("not sampled", Sampling::AlwaysOff)] {
        let (_telemetry, dispatch) = ours(sampling);
        bench(c, group, name, &dispatch, work);
    }
}

#[cfg(not(feature = "otlp"))]
fn exports(_: &mut Criterion) {}

/// The cost of exporting 512 spans over HTTP.
#[cfg(feature = "otlp")]
#[allow(clippy::disallowed_methods)] // A bench reads the real clock.
fn exports(c: &mut Criterion) {
    use campanile::telemetry::{BatchSettings, OtlpCompression, OtlpSettings};

    let mut group = c.benchmark_group("512 spans over OTLP/HTTP, to a collector that answers at once");
    for (name, compression) in [("plain", OtlpCompression::None), ("gzip", OtlpCompression::Gzip)] {
        let mut otlp = OtlpSettings::default();
        (otlp.endpoint, otlp.compression) = (Some(collector()), compression);
        // The queue holds more than one export, so an export starts only with the flush.
        let mut batch = BatchSettings::default();
        (batch.queue, batch.batch, batch.delay) = (4_096, 2_048, Duration::from_secs(3_600));
        let telemetry =
            Telemetry::builder("bench").sampling(Sampling::AlwaysOn).otlp().configure(|settings| {
                settings.otlp_settings = otlp;
                settings.batch = batch;
            });
        let none = |name: &str| matches!(name, "OTEL_LOGS_EXPORTER" | "OTEL_METRICS_EXPORTER");
        let telemetry = telemetry.variables(move |name| none(name).then(|| "none".to_owned()));
        let telemetry = telemetry.build().expect("a pipeline to an address of this machine");
        let export = || {
            (0..512).for_each(|_| span_with_fields());
            let start = Instant::now();
            assert!(telemetry.force_flush(Duration::from_secs(10)), "the export fails");
            start.elapsed()
        };
        let dispatch = Dispatch::new(registry().with(telemetry.span_layer()));
        dispatcher::with_default(&dispatch, || {
            group.bench_function(name, |b| b.iter_custom(|times| (0..times).map(|_| export()).sum()));
        });
    }
}

/// Starts a server that answers every request with 200. Returns its address.
#[cfg(feature = "otlp")]
fn collector() -> String {
    use std::io::{self, BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn serve(stream: TcpStream) -> io::Result<()> {
        let (mut requests, mut answers) = (BufReader::new(stream.try_clone()?), stream);
        let (mut line, mut length) = (String::new(), 0);
        while requests.read_line(&mut line)? > 0 {
            if let Some((_, number)) = line.to_ascii_lowercase().split_once("content-length:") {
                length = number.trim().parse().map_err(io::Error::other)?;
            }
            if line == "\r\n" {
                io::copy(&mut requests.by_ref().take(length), &mut io::sink())?;
                answers.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
            }
            line.clear();
        }
        Ok(())
    }

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    // Runs until the process ends. Errors of connections do not matter.
    thread::spawn(move || {
        listener.incoming().flatten().for_each(|stream| drop(thread::spawn(|| serve(stream))));
    });
    format!("http://{address}")
}

/// The cost of formatting a console line. Nothing is written.
fn console(c: &mut Criterion) {
    let group = "a console line with three fields, in a span with two";
    for (name, console) in [("human", Console::Human), ("json", Console::Json)] {
        let telemetry = Telemetry::builder("bench")
            .sampling(Sampling::AlwaysOn)
            .span_processor(Drop)
            .console(console)
            .console_writer(std::io::sink);
        let telemetry = telemetry.build().expect("a pipeline without exporters");
        let layers = registry().with(telemetry.span_layer()).with(telemetry.console_layer());
        dispatcher::with_default(&Dispatch::new(layers), || {
            let span = info_span!("request", method = "GET", attempt = 1_u64);
            let _entered = span.enter();
            c.benchmark_group(group).bench_function(name, |b| {
                b.iter(|| info!(id = 17_u64, customer = "ada", took = ?Duration::from_millis(3), "taken"));
            });
        });
    }
}

/// The cost of trace headers per request, read by a server and written by a client.
#[cfg(feature = "http")]
fn headers(c: &mut Criterion) {
    use std::convert::Infallible;
    use std::future::{Future, ready};
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Waker};

    use http::{HeaderValue, Request, Response};
    use http_body_util::Empty;
    use opentelemetry::propagation::TextMapCompositePropagator;
    use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
    use tower::{Layer, Service, service_fn};

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let inner =
        service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new()))));
    let mut request = Request::new(());
    request.headers_mut().insert("traceparent", HeaderValue::from_static(PARENT));
    request.headers_mut().insert("baggage", HeaderValue::from_static("tenant=m%C3%BCller,plan=blue"));
    let mut cx = Context::from_waker(Waker::noop());
    let mut group = c.benchmark_group("headers of a trace");
    let (trace, baggage) = (TraceContextPropagator::new(), BaggagePropagator::new());
    let sdk = Arc::new(TextMapCompositePropagator::new(vec![Box::new(trace), Box::new(baggage)]));
    let (telemetry, dispatch) = ours(Sampling::AlwaysOn);
    // Headers only: no spans.
    let server = telemetry.http_server_layer().untraced(["*"]);
    let client = telemetry.http_client_layer();
    for (name, server) in [("read", server.clone()), ("read by the SDK", server.propagator(sdk.clone()))] {
        let mut server = server.layer(inner);
        group.bench_function(name, |b| {
            b.iter(|| pin!(server.call(request.clone())).poll(&mut cx).is_ready());
        });
    }
    dispatcher::with_default(&dispatch, || {
        let span = info_span!("call");
        let _entered = span.enter();
        for (name, client) in
            [("written", client.clone()), ("written by the SDK", client.propagator(sdk.clone()))]
        {
            let mut client = client.layer(inner);
            group.bench_function(name, |b| {
                b.iter(|| pin!(client.call(Request::new(()))).poll(&mut cx).is_ready());
            });
        }
    });
}

#[cfg(not(feature = "http"))]
fn headers(_: &mut Criterion) {}

criterion_group!(all, spans, batches, enters, events, threads, exports, console, headers);
criterion_main!(all);

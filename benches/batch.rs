//! The cost of the export queue per span, compared with the `BatchSpanProcessor` of the SDK: `cargo bench --bench batch`.
//!
//! All cases use the same span layer and differ in the queue only. Compare medians of one run; absolute numbers differ from
//! machine to machine. At the end it prints how many spans of a flood reached the exporter.

#![allow(clippy::disallowed_methods)] // A bench reads the real clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use campanile::Telemetry;
use campanile::telemetry::{Sampling, TelemetryBuilder};
use criterion::{Criterion, criterion_group};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor};
use tracing::{Dispatch, dispatcher, info_span};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

/// An exporter that counts spans.
#[derive(Clone, Debug, Default)]
struct Sink(Arc<AtomicU64>);

impl SpanExporter for Sink {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// A processor that drops finished spans: the cost of the span layer alone.
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

type Configure = fn(TelemetryBuilder, Sink) -> TelemetryBuilder;

const QUEUES: [(&str, Configure); 3] = [
    ("no queue", |builder, _| builder.span_processor(Drop)),
    ("campanile", |builder, sink| builder.span_exporter(sink)),
    ("BatchSpanProcessor", |builder, sink| builder.span_processor(BatchSpanProcessor::builder(sink).build())),
];

fn pipeline(configure: Configure) -> (Telemetry, Dispatch, Sink) {
    let sink = Sink::default();
    let builder = Telemetry::builder("bench").sampling(Sampling::AlwaysOn);
    let telemetry = configure(builder, sink.clone()).build().expect("the pipeline starts");
    let dispatch = Dispatch::new(registry().with(telemetry.span_layer()));
    (telemetry, dispatch, sink)
}

fn span() {
    let span = info_span!("order", id = 17_u64, customer = "ada", express = true);
    let _entered = span.enter();
}

/// The mean time that one of `threads` concurrent threads takes for `spans` spans.
fn at_once(threads: usize, spans: u64, dispatch: &Dispatch) -> Duration {
    let ready = Barrier::new(threads);
    let work = || {
        dispatcher::with_default(dispatch, || {
            span();
            ready.wait();
            let start = Instant::now();
            (0..spans).for_each(|_| span());
            start.elapsed()
        })
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let took: Duration =
            running.into_iter().map(|thread| thread.join().expect("the thread does not panic")).sum();
        took / u32::try_from(threads).expect("a small number")
    })
}

fn queues(c: &mut Criterion) {
    for threads in [1, 2, 4] {
        let mut group = c.benchmark_group(format!("a sampled span, {threads} threads"));
        for (name, configure) in QUEUES {
            let (_telemetry, dispatch, _) = pipeline(configure);
            group.bench_function(name, |b| b.iter_custom(|spans| at_once(threads, spans, &dispatch)));
        }
    }
}

fn flood() {
    const SPANS: u64 = 500_000;
    for threads in [1, 2, 4] {
        for (name, configure) in QUEUES.into_iter().skip(1) {
            let (telemetry, dispatch, sink) = pipeline(configure);
            let took = at_once(threads, SPANS, &dispatch);
            telemetry.shutdown(Duration::from_secs(10));
            let all = SPANS * threads as u64;
            let exported = sink.0.load(Ordering::Relaxed);
            println!("flood of {all} spans, {threads} threads, {name}: {exported} exported, {took:?}");
        }
    }
}

criterion_group!(all, queues);

fn main() {
    all();
    flood();
}

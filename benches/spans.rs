//! What a span costs, beside `tracing-opentelemetry`: `cargo bench --bench spans`.
//!
//! Baselines first: no subscriber work at all, then a bare registry. Ours counts metrics and vital signs for every
//! span; the peer makes traces alone. Compare the medians of one run; only ratios carry to another machine.

use std::time::Duration;

use campanile::Telemetry;
use campanile::telemetry::Sampling;
use criterion::{Criterion, criterion_group, criterion_main};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanProcessor};
use tracing::{Dispatch, dispatcher, info, info_span};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

/// Takes finished spans and lets them go: what is measured ends where an exporter begins.
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
        .activation(false)
        .sampling(Sampling::AlwaysOn)
        .span_processor(Drop)
        .build()
        .expect("a pipeline without exporters");
    run(c, "campanile, activation off", &Dispatch::new(registry().with(telemetry.span_layer())));
    let (_provider, dispatch) = peer(Sampler::AlwaysOn);
    run(c, "tracing-opentelemetry", &dispatch);
}

fn events(c: &mut Criterion) {
    let group = "a span with an event";
    let work = || {
        let span = info_span!("order");
        let _entered = span.enter();
        info!(id = 17_u64, "taken");
    };
    bench(c, group, "bare registry", &Dispatch::new(registry()), work);
    let (_telemetry, dispatch) = ours(Sampling::AlwaysOn);
    bench(c, group, "campanile", &dispatch, work);
    let (_provider, dispatch) = peer(Sampler::AlwaysOn);
    bench(c, group, "tracing-opentelemetry", &dispatch, work);
}

criterion_group!(all, spans, enters, events);
criterion_main!(all);

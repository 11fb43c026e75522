//! Head and tail sampling: which traces are kept.

use std::collections::BTreeMap;
use std::time::Duration;

use campanile::telemetry::{Sampling, SpanExt, TailSampling};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::{Span, error, info, info_span};

use crate::support::{Pipeline, names};

fn remote(trace: u128, sampled: bool) -> Context {
    let flags = TraceFlags::default().with_sampled(sampled);
    let span = SpanContext::new(TraceId::from(trace), SpanId::from(7), flags, true, TraceState::NONE);
    Context::new().with_remote_span_context(span)
}

fn tail(change: impl FnOnce(&mut TailSampling)) -> Pipeline {
    let mut tail = TailSampling::default();
    change(&mut tail);
    Pipeline::with(|builder| builder.sampling(Sampling::AlwaysOff).tail_sampling(tail))
}

#[test]
fn rules_use_the_exported_name_of_a_span() {
    let sampling = Sampling::parent_based(Sampling::AlwaysOn.except("GET /health*", Sampling::AlwaysOff));
    let pipeline = Pipeline::with(|builder| builder.sampling(sampling));
    pipeline.run(|| {
        info_span!("request", otel.name = "GET /healthz").in_scope(|| drop(info_span!("check")));
        info_span!("request", otel.name = "GET /orders").in_scope(|| drop(info_span!("query")));
        drop(info_span!("GET /health"));
    });
    assert_eq!(names(&pipeline.spans()), ["query", "GET /orders"]);
}

#[test]
fn a_rate_bounds_traces_and_not_their_spans() {
    let sampling = Sampling::parent_based(Sampling::PerSecond(1));
    let pipeline = Pipeline::with(|builder| builder.sampling(sampling));
    pipeline.run(|| {
        for _ in 0..100 {
            info_span!("root").in_scope(|| (0..3).for_each(|_| drop(info_span!("leaf"))));
        }
    });
    let spans = pipeline.spans();
    let roots = spans.iter().filter(|span| span.name == "root").count();
    // The clock is real: on a slow machine some seconds may pass.
    assert!((1..50).contains(&roots), "{roots}");
    assert_eq!(spans.len(), 4 * roots);
}

#[test]
fn a_trace_with_an_error_is_kept_whole() {
    let pipeline = tail(|_| ());
    pipeline.run(|| {
        let root = info_span!("root", id = 7).entered();
        let [trace, fine] = [root.trace_id(), Some(TraceId::from(1))];
        assert_ne!(trace, fine);
        info_span!("fine").in_scope(|| info!("on its way"));
        info_span!("failed").in_scope(|| error!("no rows"));
        assert!(
            !root.context().span().span_context().is_sampled(),
            "the trace is marked as sampled for others"
        );
    });
    pipeline.run(|| info_span!("nothing to see").in_scope(|| drop(info_span!("here"))));
    let spans = pipeline.spans();
    assert_eq!(names(&spans), ["fine", "failed", "root"]);
    let root = spans[2].span_context.clone();
    assert!(spans.iter().all(|span| span.span_context.is_sampled()));
    assert!(spans.iter().all(|span| span.span_context.trace_id() == root.trace_id()));
    assert!(spans[..2].iter().all(|span| span.parent_span_id == root.span_id()));
    assert_eq!(spans[0].events.events.len(), 1);
    assert_eq!(spans[2].attributes[0].key.as_str(), "id");
}

#[test]
fn a_slow_root_is_kept_and_a_slow_leaf_alone_is_not() {
    // Even with a coarse clock, some of 200 spans take more than zero time.
    let [slow, quick] = [Duration::ZERO, Duration::from_secs(3_600)].map(|limit| {
        let pipeline = tail(|tail| tail.slower_than = Some(limit));
        pipeline.run(|| (0..200).for_each(|_| info_span!("root").in_scope(|| drop(info_span!("leaf")))));
        pipeline.spans()
    });
    assert!(quick.is_empty(), "{:?}", names(&quick));
    assert!(!slow.is_empty());
    assert!(slow.chunks(2).all(|trace| names(trace) == ["leaf", "root"]), "{:?}", names(&slow));
    let pipeline = tail(|tail| tail.slower_than = Some(Duration::ZERO));
    pipeline.run(|| {
        let root = info_span!("root").entered();
        drop(info_span!("leaf"));
        assert!(pipeline.spans().is_empty(), "the leaf is exported before its root ends");
        drop(root);
    });
    assert_eq!(names(&pipeline.spans()), ["leaf", "root"]);
}

#[test]
fn a_root_waits_for_spans_below_it() {
    let pipeline = tail(|_| ());
    pipeline.run(|| {
        let root = info_span!("root").entered();
        let straggler = info_span!("straggler");
        error!("it failed");
        drop(root);
        drop(straggler);
    });
    assert_eq!(names(&pipeline.spans()), ["straggler", "root"]);
}

#[test]
fn a_trace_with_two_local_roots_waits_for_both() {
    let pipeline = tail(|_| ());
    pipeline.run(|| {
        let spans: Vec<Span> = ["one", "two"]
            .map(|name| {
                let span = info_span!("root", otel.name = name);
                span.set_parent(remote(9, false));
                span
            })
            .into();
        spans[0].in_scope(|| drop(info_span!("leaf")));
        drop(spans[0].clone());
        let [one, two] = <[Span; 2]>::try_from(spans).unwrap();
        drop(one);
        two.in_scope(|| error!("it failed"));
        drop(two);
    });
    let spans = pipeline.spans();
    assert_eq!(names(&spans), ["leaf", "one", "two"]);
    assert!(spans.iter().all(|span| span.span_context.trace_id() == TraceId::from(9)));
}

#[test]
fn a_late_sampled_parent_keeps_the_trace() {
    let pipeline = Pipeline::with(|builder| {
        builder.sampling(Sampling::parent_based(Sampling::AlwaysOff)).tail_sampling(TailSampling::default())
    });
    pipeline.run(|| {
        let root = info_span!("root", id = 7);
        root.set_parent(remote(9, true));
        root.in_scope(|| drop(info_span!("leaf")));
        drop(root);
        assert_eq!(names(&pipeline.spans()), ["leaf", "root"]);
        let root = info_span!("unsampled");
        root.set_parent(remote(10, false));
        root.in_scope(|| drop(info_span!("leaf")));
    });
    let spans = pipeline.spans();
    assert_eq!(names(&spans), ["leaf", "root"]);
    assert_eq!(spans[1].attributes[0].key.as_str(), "id", "attributes from its creation are missing");
}

#[test]
fn the_buffer_is_bounded_and_evicts_the_oldest() {
    let pipeline = tail(|tail| tail.spans = 80);
    pipeline.run(|| {
        let open: Vec<Span> = (0..1_000)
            .map(|n| {
                let root = info_span!("root", n);
                root.in_scope(|| drop(info_span!("leaf")));
                root
            })
            .collect();
        open.iter().for_each(|root| root.in_scope(|| error!("it failed")));
    });
    let mut traces: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for span in pipeline.spans() {
        traces.entry(span.span_context.trace_id().to_bytes()).or_default().push(span.name.to_string());
    }
    assert_eq!(traces.len(), 1_000, "a trace whose root fails is not kept");
    let whole = traces.values().filter(|names| *names == &["leaf", "root"]).count();
    assert!((1..=80).contains(&whole), "{whole}");
    assert!(pipeline.telemetry.tail_evicted() >= 1_000 - 80, "{}", pipeline.telemetry.tail_evicted());
}

/// Opens 100 traces with a leaf each, runs `action`, then lets all of them fail. Returns how many were kept whole.
fn whole_of_100(pipeline: &Pipeline, leaf: impl Fn(), action: impl FnOnce()) -> usize {
    pipeline.run(|| {
        let open: Vec<Span> = (0..100)
            .map(|n| {
                let root = info_span!("root", n);
                root.in_scope(&leaf);
                root
            })
            .collect();
        action();
        open.iter().for_each(|root| root.in_scope(|| error!("it failed")));
    });
    pipeline.spans().iter().filter(|span| span.name == "leaf").count()
}

#[test]
fn a_trace_too_large_for_the_buffer_is_evicted_itself() {
    for large in [(|| (0..5_000).for_each(|_| drop(info_span!("crowd")))) as fn(), || {
        (0..500).for_each(|_| drop(info_span!("crowd", text = "x".repeat(4_000))))
    }] {
        let pipeline = tail(|tail| (tail.spans, tail.bytes) = (8 * 1_000, 8 * 1_000_000));
        let leaf = || drop(info_span!("leaf"));
        let whole = whole_of_100(&pipeline, leaf, || info_span!("large").in_scope(large));
        assert_eq!(whole, 100, "another trace is evicted for it");
        assert_eq!(pipeline.telemetry.tail_evicted(), 1);
        assert!(!pipeline.spans().iter().any(|span| span.name == "crowd"));
    }
}

#[test]
fn the_buffer_is_bounded_by_bytes() {
    let pipeline = tail(|tail| tail.bytes = 8 * 100_000);
    let (text, leaf) = ("x".repeat(4_000), tracing::field::Empty);
    let leaf = || {
        // 32 kB, in eight values.
        drop(info_span!(
            "leaf",
            a = text,
            b = text,
            c = text,
            d = text,
            e = text,
            f = text,
            g = text,
            h = text,
            i = leaf
        ));
    };
    let whole = whole_of_100(&pipeline, leaf, || {});
    assert!((8..=8 * 3).contains(&whole), "{whole}");
    assert!(pipeline.telemetry.tail_evicted() >= 100 - 24);
}

#[test]
fn the_bound_in_bytes_includes_the_trace_state() {
    let pipeline = tail(|tail| tail.bytes = 8 * 100_000);
    // 10 kB, of which each span has a copy.
    let state = (0..32).map(|n| (format!("system{n}"), "x".repeat(250)));
    let state = TraceState::from_key_value(state).unwrap();
    let caller = SpanContext::new(TraceId::from(1), SpanId::from(7), TraceFlags::default(), true, state);
    pipeline.run(|| {
        let root = info_span!("root");
        root.set_parent(Context::new().with_remote_span_context(caller));
        root.in_scope(|| (0..50).for_each(|_| drop(info_span!("leaf"))));
        assert_eq!(pipeline.telemetry.tail_evicted(), 1);
    });
}

#[test]
fn a_trace_to_keep_does_not_wait_for_its_root() {
    let pipeline = tail(|tail| tail.spans = 80);
    pipeline.run(|| {
        let root = info_span!("root");
        root.in_scope(|| {
            drop(info_span!("before"));
            assert!(pipeline.spans().is_empty());
            info_span!("fails").in_scope(|| error!("it failed"));
            assert_eq!(names(&pipeline.spans()), ["before", "fails"]);
            // More spans than the buffer can hold. The other traces below compete for it.
            (0..200).for_each(|_| drop(info_span!("after")));
        });
        let others: Vec<Span> = (0..1_000).map(|_| info_span!("other")).collect();
        root.in_scope(|| drop(info_span!("last")));
        drop((root, others));
    });
    let spans = pipeline.spans();
    assert_eq!(spans.len(), 2 + 200 + 2);
    assert_eq!(names(&spans)[202..], ["last", "root"]);
}

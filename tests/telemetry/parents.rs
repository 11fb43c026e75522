//! P31: ids and parents of spans.

use std::sync::Barrier;
use std::thread;

use campanile::telemetry::{SpanExt, current_context};
use opentelemetry::trace::{SpanId, TraceContextExt, TraceId, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue, baggage::BaggageExt};
use tracing::{Instrument, Span, debug_span, info, info_span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, reload};

use crate::support::{Pipeline, assert_child, remote, runtime};

#[test]
fn p31_parents_are_right_on_one_thread() {
    let pipeline = Pipeline::new();
    pipeline.run(|| {
        let root = info_span!("root");
        let _root = root.enter();
        let child = info_span!("child").entered();
        drop(info_span!("grandchild"));
        drop(child);
        drop(info_span!("second"));
        drop(info_span!(parent: None, "alone"));
        drop(info_span!(parent: &root, "explicit"));
    });
    let root = pipeline.span("root");
    assert_child(&pipeline.span("child"), &root);
    assert_child(&pipeline.span("grandchild"), &pipeline.span("child"));
    assert_child(&pipeline.span("second"), &root);
    assert_child(&pipeline.span("explicit"), &root);
    assert_eq!(root.parent_span_id, SpanId::INVALID);
    let alone = pipeline.span("alone");
    assert_eq!(alone.parent_span_id, SpanId::INVALID);
    assert_ne!(alone.span_context.trace_id(), root.span_context.trace_id());
}

#[test]
fn p31_parents_are_right_across_threads() {
    let pipeline = Pipeline::new();
    let dispatch = pipeline.dispatch();
    tracing::dispatcher::with_default(&dispatch, || {
        let root = info_span!("root");
        thread::scope(|scope| {
            for n in 0..4 {
                let (dispatch, root) = (&dispatch, &root);
                scope.spawn(move || {
                    tracing::dispatcher::with_default(dispatch, || {
                        let _child =
                            info_span!(parent: root, "child", otel.name = format!("child {n}")).entered();
                        drop(info_span!("leaf", otel.name = format!("leaf {n}")));
                    });
                });
            }
        });
    });
    for n in 0..4 {
        let child = pipeline.span(&format!("child {n}"));
        assert_child(&child, &pipeline.span("root"));
        assert_child(&pipeline.span(&format!("leaf {n}")), &child);
    }
}

#[test]
fn p31_parents_are_right_across_tasks() {
    let pipeline = Pipeline::new();
    let dispatch = pipeline.dispatch();
    let runtime = runtime(&dispatch);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                tokio::spawn(async move {
                    let request = info_span!("request", otel.name = format!("request {n}"));
                    async move {
                        for _ in 0..10 {
                            tokio::task::yield_now().await;
                            // Perhaps on another thread, and after other tasks ran.
                            let inner = info_span!("inner", otel.name = format!("inner {n}"));
                            async {
                                tokio::task::yield_now().await;
                                assert_eq!(
                                    current_context().span().span_context().trace_id(),
                                    Span::current().trace_id().unwrap()
                                );
                            }
                            .instrument(inner)
                            .await;
                        }
                    }
                    .instrument(request)
                    .await;
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let spans = pipeline.spans();
    assert_eq!(spans.len(), 20 * 11);
    for n in 0..20 {
        let request = pipeline.span(&format!("request {n}"));
        for inner in spans.iter().filter(|span| span.name == format!("inner {n}")) {
            assert_child(inner, &request);
        }
    }
}

#[test]
fn p31_a_span_exited_out_of_order_leaves_nothing_active() {
    let pipeline = Pipeline::new();
    pipeline.run(|| {
        let (a, b) = (info_span!("a"), info_span!("b"));
        let entered_a = a.enter();
        let entered_b = b.enter();
        drop(entered_a);
        drop(info_span!("in b"));
        drop(entered_b);
        assert!(!Context::current().has_active_span());
        drop(info_span!("alone"));
    });
    assert_child(&pipeline.span("in b"), &pipeline.span("b"));
    assert_eq!(pipeline.span("alone").parent_span_id, SpanId::INVALID);
}

#[test]
fn p31_a_parent_can_be_set_at_any_time() {
    for children_first in [false, true] {
        for below_another in [false, true] {
            for entered in [false, true] {
                let pipeline = Pipeline::new();
                pipeline.run(|| {
                    let outer = info_span!("outer");
                    let outer = below_another.then(|| outer.entered());
                    let span = info_span!("span");
                    let inside = entered.then(|| span.enter());
                    let child = children_first.then(|| info_span!(parent: &span, "child"));
                    let leaf = child.as_ref().map(|child| info_span!(parent: child, "leaf"));
                    // Reading the context does not fix the parent.
                    assert!(span.trace_id().is_some() && span.context().has_active_span());
                    span.set_parent(remote(0xABC, 0xDEF, true));
                    let child = child.unwrap_or_else(|| info_span!(parent: &span, "child"));
                    let leaf = leaf.unwrap_or_else(|| info_span!(parent: &child, "leaf"));
                    for span in [&span, &child, &leaf] {
                        assert_eq!(span.trace_id(), Some(TraceId::from(0xABC)));
                        let context = span.context();
                        assert_eq!(context.span().span_context().trace_id(), TraceId::from(0xABC));
                    }
                    if entered {
                        let active = Context::current();
                        assert_eq!(active.span().span_context().trace_id(), TraceId::from(0xABC));
                    }
                    drop((leaf, child, inside, outer));
                });
                let case = format!(
                    "children first: {children_first}, below another: {below_another}, entered: {entered}"
                );
                let span = pipeline.span("span");
                assert_eq!(span.span_context.trace_id(), TraceId::from(0xABC), "{case}");
                assert_eq!(span.parent_span_id, SpanId::from(0xDEF), "{case}");
                assert!(span.parent_span_is_remote, "{case}");
                assert_child(&pipeline.span("child"), &span);
                assert_child(&pipeline.span("leaf"), &pipeline.span("child"));
                if below_another {
                    assert_ne!(
                        pipeline.span("outer").span_context.trace_id(),
                        TraceId::from(0xABC),
                        "{case}"
                    );
                }
            }
        }
    }
}

#[test]
fn p31_a_late_parent_decides_sampling() {
    use campanile::telemetry::Sampling;

    let pipeline = Pipeline::with(|builder| builder.sampling(Sampling::parent_based(Sampling::AlwaysOff)));
    pipeline.run(|| {
        let span = info_span!("wanted");
        let child = info_span!(parent: &span, "wanted child");
        span.set_parent(remote(1, 2, true));
        child.in_scope(|| info!("kept"));
    });
    assert_child(&pipeline.span("wanted child"), &pipeline.span("wanted"));
    assert_eq!(pipeline.span("wanted child").events.len(), 1);

    let pipeline = Pipeline::new();
    pipeline.run(|| {
        let span = info_span!("unwanted");
        let _child = info_span!(parent: &span, "unwanted child");
        span.set_parent(remote(1, 2, false));
    });
    assert!(pipeline.spans().is_empty());
}

#[test]
fn p31_children_made_while_a_parent_is_set_follow_it() {
    for round in 0..50 {
        let pipeline = Pipeline::new();
        let dispatch = pipeline.dispatch();
        let start = Barrier::new(4);
        let spans = tracing::dispatcher::with_default(&dispatch, || {
            let root = info_span!("root");
            let mut spans = thread::scope(|scope| {
                let makers: Vec<_> = (0..3)
                    .map(|_| {
                        scope.spawn(|| {
                            tracing::dispatcher::with_default(&dispatch, || {
                                start.wait();
                                let mut spans = vec![root.clone()];
                                for _ in 0..50 {
                                    let parent = spans.last().unwrap();
                                    let next = info_span!(parent: parent, "next");
                                    spans.push(next);
                                }
                                spans
                            })
                        })
                    })
                    .collect();
                start.wait();
                root.set_parent(remote(7, 8, true));
                makers.into_iter().flat_map(|maker| maker.join().unwrap()).collect::<Vec<_>>()
            });
            spans.push(root);
            for span in &spans {
                assert_eq!(span.trace_id(), Some(TraceId::from(7)), "round {round}");
            }
            spans.len()
        });
        assert_eq!(spans, 3 * 51 + 1);
        assert!(pipeline.spans().iter().all(|span| span.span_context.trace_id() == TraceId::from(7)));
    }
}

#[test]
fn p31_a_filter_in_between_keeps_spans_connected() {
    let pipeline = Pipeline::new();
    let subscriber = tracing_subscriber::registry()
        .with(pipeline.telemetry.span_layer().with_filter(LevelFilter::INFO))
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink));
    tracing::subscriber::with_default(subscriber, || {
        let _root = info_span!("root").entered();
        let _hidden = debug_span!("hidden").entered();
        let _deeper = debug_span!("deeper").entered();
        let leaf = info_span!("leaf").entered();
        assert_eq!(leaf.context().span().span_context().trace_id(), leaf.trace_id().unwrap());
        drop(leaf);
        info!("here");
    });
    assert_child(&pipeline.span("leaf"), &pipeline.span("root"));
    assert_eq!(pipeline.span("root").events.len(), 1, "the event is not on the nearest visible span");
}

#[test]
fn p31_an_ignored_span_keeps_spans_connected() {
    let pipeline = Pipeline::new();
    pipeline.run(|| {
        let _root = info_span!("root").entered();
        let _ignored = info_span!(target: "opentelemetry_sdk", "ignored").entered();
        let _more = info_span!(target: "opentelemetry_sdk", "more").entered();
        drop(info_span!("leaf"));
        info!("here");
    });
    assert_child(&pipeline.span("leaf"), &pipeline.span("root"));
    assert_eq!(pipeline.span("root").events.len(), 1);
    assert_eq!(pipeline.spans().len(), 2);
}

#[test]
fn p31_spans_of_the_opentelemetry_api_nest_both_ways() {
    let pipeline = Pipeline::new();
    let tracer = pipeline.telemetry.tracer_provider().tracer("native");
    pipeline.run(|| {
        let _outer = info_span!("outer").entered();
        tracer.in_span("native", |_| {
            let _inner = info_span!("inner").entered();
            tracer.in_span("native leaf", |_| ());
        });
        drop(info_span!("after"));
    });
    assert_child(&pipeline.span("native"), &pipeline.span("outer"));
    assert_child(&pipeline.span("inner"), &pipeline.span("native"));
    assert_child(&pipeline.span("native leaf"), &pipeline.span("inner"));
    assert_child(&pipeline.span("after"), &pipeline.span("outer"));
}

#[test]
fn p31_an_attached_context_is_the_parent_also_without_activation() {
    for activation in [true, false] {
        let pipeline =
            Pipeline::with(|builder| builder.configure(|settings| settings.activation = activation));
        pipeline.run(|| {
            let attached = remote(1, 2, true).attach();
            let request = info_span!("request").entered();
            assert_eq!(current_context().span().span_context().trace_id(), TraceId::from(1));
            drop(info_span!("below"));
            drop(request);
            drop(attached);
        });
        let request = pipeline.span("request");
        assert_eq!(request.parent_span_id, SpanId::from(2), "activation: {activation}");
        assert!(request.parent_span_is_remote);
        assert_child(&pipeline.span("below"), &request);
    }
}

#[test]
fn p31_the_layer_is_found_in_any_position() {
    let pipeline = Pipeline::new();
    let layer = || pipeline.telemetry.span_layer();
    let (reloaded, handle) = reload::Layer::<_, Registry>::new(layer());
    let check = || {
        let span = info_span!("span");
        span.set_parent(remote(3, 4, true));
        assert_eq!(span.trace_id(), Some(TraceId::from(3)));
        assert_eq!(span.context().span().span_context().trace_id(), TraceId::from(3));
    };
    tracing::subscriber::with_default(tracing_subscriber::registry().with(Some(layer())), check);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(reloaded), || {
        check();
        handle.modify(|_| ()).unwrap();
        check();
    });
    let filtered = layer().with_filter(LevelFilter::INFO);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(filtered), check);
    assert_eq!(pipeline.spans().len(), 4);
}

#[test]
fn without_a_layer_there_are_no_ids() {
    let check = || {
        let span = info_span!("span");
        span.set_parent(remote(3, 4, true));
        assert_eq!(span.trace_id(), None);
        assert!(!span.context().has_active_span());
    };
    tracing::subscriber::with_default(tracing_subscriber::registry(), check);
    let none: Option<campanile::telemetry::SpanLayer> = None;
    tracing::subscriber::with_default(tracing_subscriber::registry().with(none), check);
    check();
}

#[test]
fn baggage_follows_the_span() {
    let pipeline = Pipeline::new();
    let dispatch = pipeline.dispatch();
    tracing::dispatcher::with_default(&dispatch, || {
        let attached = Context::current_with_baggage([KeyValue::new("tenant", "blue")]).attach();
        let span = info_span!("span");
        drop(attached);
        let tenant = |context: &Context| context.baggage().get("tenant").map(ToString::to_string);
        assert_eq!(tenant(&span.context()).as_deref(), Some("blue"));
        thread::scope(|scope| {
            scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || {
                    let _entered = span.enter();
                    assert_eq!(tenant(&Context::current()).as_deref(), Some("blue"));
                    let below = info_span!("below");
                    assert_eq!(tenant(&below.context()).as_deref(), Some("blue"));
                });
            });
        });
    });
}

//! What users of `tracing-opentelemetry` report, each as a test of ours. Where release 0.34 still behaves so, the test
//! says it; the number is that of the report in the tracker of that crate, or of the one named.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context as Task, Waker};
use std::thread;

use campanile::telemetry::{Console, Sampling, SpanExt, current_context};
use opentelemetry::trace::{
    SpanId, Status, TraceContextExt, TraceId, Tracer, TracerProvider, get_active_span,
};
use opentelemetry::{Context, KeyValue, baggage::BaggageExt};
use tracing::field::Empty;
use tracing::span::EnteredSpan;
use tracing::{
    Dispatch, Event, Instrument, Level, Span, Subscriber, debug, debug_span, error, info, info_span,
};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::{Context as LayerContext, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Registry, reload};

use crate::support::{Pipeline, Sink, assert_child, attribute, in_time, names, remote};

/// Keeps the names of events, and asks about the current span at each, as a layer for logs does.
#[derive(Clone, Default)]
struct Ears(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Ears {
    fn on_event(&self, event: &Event<'_>, cx: LayerContext<'_, S>) {
        if let Some(span) = cx.lookup_current() {
            let _extensions = span.extensions_mut();
        }
        let _ids = Span::current().trace_id();
        self.0.lock().unwrap().push(event.metadata().target().to_owned());
    }
}

// ===== locks =====

/// 250. OpenTelemetry logs while a span is being entered: its stack of contexts is full.
#[test]
fn p32_a_log_of_opentelemetry_at_an_enter_does_not_deadlock() {
    in_time(|| {
        let pipeline = Pipeline::new();
        let ears = Ears::default();
        let subscriber =
            tracing_subscriber::registry().with(pipeline.telemetry.span_layer()).with(ears.clone());
        tracing::subscriber::with_default(subscriber, || {
            let attached: Vec<_> = (0..u16::MAX).map(|_| Context::new().attach()).collect();
            let before = ears.0.lock().unwrap().len();
            let span = info_span!("span").entered();
            drop(span);
            let heard = ears.0.lock().unwrap().len() - before;
            assert_eq!(heard, 1, "it is about that moment");
            drop(attached);
        });
        assert!(pipeline.span("span").events.is_empty());
    });
}

/// 59, and 763 and 1565 of `tracing`: the text of a value looks at the span that it is being recorded on.
#[test]
fn p32_a_value_that_looks_at_its_own_span_does_not_deadlock() {
    struct Curious(&'static str);

    impl fmt::Debug for Curious {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let span = Span::current();
            let context = span.context();
            span.with_subscriber(|(id, dispatch)| {
                let registry = dispatch.downcast_ref::<Registry>().unwrap();
                let own = registry.span(id).unwrap();
                let _extensions = own.extensions_mut();
            });
            debug!("looking");
            drop(debug_span!("look").entered());
            write!(f, "{} in {}", self.0, context.span().span_context().is_valid())
        }
    }

    in_time(|| {
        let pipeline = Pipeline::new();
        pipeline.run(|| {
            let span = info_span!("span", late = Empty).entered();
            span.record("late", tracing::field::debug(Curious("a field")));
            error!(value = ?Curious("a value"), "an event");
            drop(info_span!("below", early = ?Curious("a new span")));
        });
        let span = pipeline.span("span");
        assert_eq!(attribute(&span, "late"), Some("a field in true".into()));
        // Under a subscriber that is not the global one, `tracing` itself leaves out what is logged within a log.
        let texts: Vec<_> = span.events.iter().map(|event| event.name.as_ref()).collect();
        assert_eq!(texts, ["looking", "an event"]);
        assert!(attribute(&pipeline.span("below"), "early").is_some());
    });
}

/// 3510 of `opentelemetry-rust`: its current context is borrowed while someone looks at it. To enter a span there is
/// what OpenTelemetry cannot do; without activation nobody asks it to.
#[test]
fn a_span_in_the_middle_of_a_look_at_the_active_one_does_not_panic() {
    for activation in [true, false] {
        let pipeline = Pipeline::with(|builder| builder.activation(activation));
        pipeline.run(|| {
            let _outer = info_span!("outer").entered();
            get_active_span(|_| {
                let inner = info_span!("inner", n = 1);
                info!(parent: &inner, "here");
                assert!(inner.trace_id().is_some());
                if !activation {
                    inner.in_scope(|| info!("inside"));
                }
            });
        });
        let inner = pipeline.span("inner");
        assert_child(&inner, &pipeline.span("outer"));
        assert_eq!(inner.events.len(), if activation { 1 } else { 2 });
    }
}

// ===== threads =====

/// 94, and 1859 of `tracing`: of events of one span on many threads, some were lost.
#[test]
fn events_of_one_span_on_many_threads_all_arrive() {
    const EACH: usize = 200;
    let pipeline = Pipeline::with(|builder| {
        let mut limits = campanile::telemetry::SpanLimits::default();
        limits.events = 4 * EACH;
        builder.limits(limits)
    });
    let dispatch = pipeline.dispatch();
    tracing::dispatcher::with_default(&dispatch, || {
        let span = info_span!("span");
        let start = Barrier::new(4);
        thread::scope(|scope| {
            for thread in 0..4 {
                let (dispatch, span, start) = (&dispatch, &span, &start);
                scope.spawn(move || {
                    tracing::dispatcher::with_default(dispatch, || {
                        start.wait();
                        for n in 0..EACH {
                            let _entered = span.enter();
                            info!(thread, n, "event");
                        }
                    });
                });
            }
        });
    });
    let span = pipeline.span("span");
    assert_eq!((span.events.len(), span.events.dropped_count), (4 * EACH, 0));
}

/// 183, 14, and 2399 of `tracing`: to follow a span that is gone, or that another layer alone has seen, was a panic
/// that took the process down.
#[test]
fn what_is_followed_may_be_gone_or_hidden() {
    let pipeline = Pipeline::new();
    let subscriber = tracing_subscriber::registry()
        .with(Ears::default())
        .with(pipeline.telemetry.span_layer().with_filter(LevelFilter::INFO));
    let dispatch = Dispatch::new(subscriber);
    tracing::dispatcher::with_default(&dispatch, || {
        let gone = info_span!("gone").id();
        let hidden = debug_span!("hidden");
        let span = info_span!("span");
        span.follows_from(gone.clone());
        span.follows_from(&hidden);
        hidden.follows_from(&span);
        Span::current().follows_from(gone);
        // Others close while they are followed.
        let start = Barrier::new(3);
        let (send, receive) = std::sync::mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..2 {
                let (dispatch, start, send) = (&dispatch, &start, send.clone());
                scope.spawn(move || {
                    tracing::dispatcher::with_default(dispatch, || {
                        start.wait();
                        for _ in 0..500 {
                            let span = info_span!("cause");
                            send.send(span.id()).unwrap();
                        }
                    });
                });
            }
            drop(send);
            start.wait();
            for cause in receive {
                info_span!("effect").follows_from(cause);
            }
        });
    });
    assert!(pipeline.span("span").links.is_empty());
    assert_eq!(names(&pipeline.spans()).iter().filter(|name| **name == "effect").count(), 1_000);
}

/// 3239 of `tracing`, and what comes of it here: a span is still entered when its thread ends. 0.34 takes the process
/// down.
#[test]
fn a_thread_may_end_inside_a_span() {
    use std::cell::RefCell;

    thread_local! {
        /// Made before anything of OpenTelemetry, so gone after it.
        static KEPT: RefCell<Vec<EnteredSpan>> = const { RefCell::new(Vec::new()) };
    }

    for activation in [true, false] {
        let pipeline = Pipeline::with(|builder| builder.activation(activation));
        let dispatch = pipeline.dispatch();
        thread::spawn(move || {
            KEPT.with(|kept| kept.borrow_mut().reserve(2));
            tracing::dispatcher::with_default(&dispatch, || {
                // Without a parent: where no subscriber is the default any more, the registry lets go of none.
                let outer = info_span!(parent: None, "outer").entered();
                let inner = info_span!(parent: None, "inner").entered();
                KEPT.with(|kept| kept.borrow_mut().extend([outer, inner]));
            });
        })
        .join()
        .expect("the end of a thread is no reason to panic");
        assert_eq!(names(&pipeline.spans()), ["outer", "inner"]);
    }
}

/// A span ends where nobody knows of its subscriber.
#[test]
fn the_last_handle_may_go_on_a_thread_without_subscriber() {
    let pipeline = Pipeline::new();
    let span = pipeline.run(|| info_span!("span", n = Empty));
    thread::spawn(move || {
        span.record("n", 1);
        let twice = span.clone();
        span.in_scope(|| drop(twice));
    })
    .join()
    .unwrap();
    assert_eq!(attribute(&pipeline.span("span"), "n"), Some(1.into()));
}

// ===== parents =====

/// 25, and "Span has already been started, cannot set parent": who had asked for the context of a span, entered it or
/// made one below it could give it no other parent, or had it in two traces at once. 0.34 returns an error
/// then, and the span stays in its own trace.
#[test]
fn p31_a_span_that_was_used_takes_another_parent() {
    let lines = Sink::default();
    let pipeline = Pipeline::with(|builder| {
        let lines = lines.clone();
        builder.console(Console::Json).console_writer(move || lines.clone())
    });
    let subscriber = tracing_subscriber::registry()
        .with(pipeline.telemetry.span_layer())
        .with(pipeline.telemetry.console_layer());
    tracing::subscriber::with_default(subscriber, || {
        let span = info_span!("span").entered();
        let before = span.context().span().span_context().trace_id();
        let child = info_span!("child");
        info!("before");
        span.set_parent(remote(7, 8, true));
        assert_ne!(before, TraceId::from(7));
        info!("after");
        child.in_scope(|| info!("below"));
        let ids = [span.trace_id().unwrap(), child.trace_id().unwrap()];
        assert_eq!(ids, [TraceId::from(7); 2]);
        for context in [span.context(), child.context(), current_context(), Context::current()] {
            assert_eq!(context.span().span_context().trace_id(), TraceId::from(7));
        }
    });
    let span = pipeline.span("span");
    assert_eq!((span.span_context.trace_id(), span.parent_span_id), (TraceId::from(7), SpanId::from(8)));
    assert_child(&pipeline.span("child"), &span);
    // Logs have the ids of the moment.
    let logs = lines.logs();
    let of = |message: &str| logs.iter().find(|log| log["message"] == message).unwrap();
    assert_ne!(of("before")["trace_id"], TraceId::from(7).to_string());
    assert_eq!(of("after")["trace_id"], TraceId::from(7).to_string());
    assert_eq!(of("after")["span_id"], span.span_context.span_id().to_string());
    assert_eq!(of("below")["trace_id"], TraceId::from(7).to_string());
}

/// 86: a parent that a filter hides, given by name, was a panic. 0.34 begins another trace below it.
#[test]
fn p31_a_hidden_parent_disconnects_nobody_however_it_is_given() {
    let pipeline = Pipeline::new();
    let subscriber = tracing_subscriber::registry()
        .with(Ears::default())
        .with(pipeline.telemetry.span_layer().with_filter(LevelFilter::INFO));
    tracing::subscriber::with_default(subscriber, || {
        let root = info_span!("root");
        let hidden = debug_span!(parent: &root, "hidden");
        drop(info_span!(parent: &hidden, "by name"));
        hidden.in_scope(|| drop(info_span!("by context")));
        let alone = debug_span!(parent: None, "hidden root");
        drop(info_span!(parent: &alone, "below a hidden root"));
    });
    assert_child(&pipeline.span("by name"), &pipeline.span("root"));
    assert_child(&pipeline.span("by context"), &pipeline.span("root"));
    assert_eq!(pipeline.span("below a hidden root").parent_span_id, SpanId::INVALID);
}

/// 86 again: the filter changes between a span and the one below it.
#[test]
fn p31_a_filter_that_is_changed_meanwhile_disconnects_nobody() {
    let pipeline = Pipeline::new();
    let (filter, handle) = reload::Layer::new(LevelFilter::INFO);
    let subscriber = tracing_subscriber::registry()
        .with(Ears::default())
        .with(pipeline.telemetry.span_layer().with_filter(filter));
    tracing::subscriber::with_default(subscriber, || {
        let outer = info_span!("outer").entered();
        let middle = debug_span!("middle").entered();
        handle.modify(|filter| *filter = LevelFilter::DEBUG).unwrap();
        let inner = debug_span!("inner").entered();
        handle.modify(|filter| *filter = LevelFilter::ERROR).unwrap();
        error!("here");
        drop((inner, middle, outer));
    });
    assert_child(&pipeline.span("inner"), &pipeline.span("outer"));
    assert_eq!(pipeline.span("inner").events.len(), 1);
}

/// 92: an event that names its span went to the current one. 0.34 has no word about what failed.
#[test]
fn an_event_goes_where_it_says() {
    let pipeline = Pipeline::new();
    pipeline.run(|| {
        let other = info_span!("other");
        let _current = info_span!("current").entered();
        error!(parent: &other, "there");
        error!(parent: None, "nowhere");
        info!("here");
    });
    let (other, current) = (pipeline.span("other"), pipeline.span("current"));
    assert_eq!((other.events.len(), other.events[0].name.as_ref()), (1, "there"));
    assert_eq!((current.events.len(), current.events[0].name.as_ref()), (1, "here"));
    assert_eq!((&other.status, &current.status), (&Status::error("there"), &Status::Unset));
}

/// 202, 1571 and 2420 of `opentelemetry-rust`: spans and baggage of the OpenTelemetry API did not see those of
/// `tracing`, nor the other way round, nor over an `await`.
#[test]
fn p31_spans_of_both_kinds_nest_over_awaits() {
    let pipeline = Pipeline::new();
    let tracer = pipeline.telemetry.tracer_provider().tracer("native");
    pipeline.run(|| {
        let baggage = Context::current_with_baggage([KeyValue::new("tenant", "blue")]).attach();
        let request = info_span!("request");
        drop(baggage);
        let work = async {
            tokio::task::yield_now().await;
            tracer.in_span("native", |cx| {
                assert_eq!(cx.baggage().get("tenant").map(ToString::to_string).as_deref(), Some("blue"));
                drop(info_span!("inner"));
            });
            tokio::task::yield_now().await;
            drop(info_span!("last"));
        };
        poll_to_end(work.instrument(request), || drop(info_span!("between")));
    });
    assert_child(&pipeline.span("native"), &pipeline.span("request"));
    assert_child(&pipeline.span("inner"), &pipeline.span("native"));
    assert_child(&pipeline.span("last"), &pipeline.span("request"));
    for span in pipeline.spans().iter().filter(|span| span.name == "between") {
        assert_eq!(span.parent_span_id, SpanId::INVALID);
    }
}

/// A trace that is not sampled still has its ids, and hands them on with the decision.
#[test]
fn p31_an_unsampled_trace_goes_on_in_other_services() {
    let pipeline = Pipeline::with(|builder| builder.sampling(Sampling::AlwaysOff));
    pipeline.run(|| {
        let attached = remote(7, 8, true).attach();
        let span = info_span!("span").entered();
        let mut headers = std::collections::HashMap::new();
        pipeline.telemetry.propagator().inject_context(&current_context(), &mut headers);
        let id = span.context().span().span_context().span_id();
        assert_eq!(headers["traceparent"], format!("00-{}-{id}-00", TraceId::from(7)));
        drop((span, attached));
    });
    assert!(pipeline.spans().is_empty());
}

/// A second decision about the same trace.
#[test]
fn p31_a_parent_of_the_same_trace_may_change_what_is_sampled() {
    let pipeline = Pipeline::new();
    pipeline.run(|| {
        let span = info_span!("span");
        let child = info_span!(parent: &span, "child");
        span.set_parent(remote(7, 8, false));
        assert!(!child.context().span().span_context().is_sampled());
        span.set_parent(remote(7, 9, true));
        assert!(child.context().span().span_context().is_sampled());
        span.set_parent(remote(7, 9, false));
        assert!(!child.context().span().span_context().is_sampled());
    });
    assert!(pipeline.spans().is_empty());
}

/// A parent is set while a context that someone attached lies between two spans.
#[test]
fn p31_a_parent_set_over_an_attached_context_leaves_it_where_it_was() {
    let pipeline = Pipeline::new();
    pipeline.run(|| {
        let a = info_span!("a").entered();
        let attached = remote(1, 2, true).attach();
        let b = info_span!(parent: None, "b").entered();
        b.set_parent(remote(7, 8, true));
        assert_eq!(Context::current().span().span_context().trace_id(), TraceId::from(7));
        drop(b);
        assert_eq!(Context::current().span().span_context().trace_id(), TraceId::from(1));
        drop(info_span!("below what is attached"));
        drop(attached);
        assert_eq!(Context::current().span().span_context().trace_id(), a.trace_id().unwrap());
    });
    assert_eq!(pipeline.span("below what is attached").parent_span_id, SpanId::from(2));
}

/// Two pipelines in one subscriber do not get into each other's way. Two layers of 0.34 panic.
#[test]
fn p31_two_layers_in_one_subscriber_have_a_tree_each() {
    let (one, two) = (Pipeline::new(), Pipeline::new());
    let subscriber =
        tracing_subscriber::registry().with(one.telemetry.span_layer()).with(two.telemetry.span_layer());
    tracing::subscriber::with_default(subscriber, || {
        let _root = info_span!("root").entered();
        let _child = info_span!("child").entered();
        drop(info_span!("leaf"));
        info!("here");
    });
    for pipeline in [one, two] {
        assert_child(&pipeline.span("child"), &pipeline.span("root"));
        assert_child(&pipeline.span("leaf"), &pipeline.span("child"));
        assert_eq!(pipeline.span("root").parent_span_id, SpanId::INVALID);
        assert_eq!(pipeline.span("child").events.len(), 1);
    }
}

// ===== other layers =====

/// 257: a filter of this layer kept events from the others.
#[test]
fn a_filter_of_the_layer_takes_nothing_from_others() {
    let pipeline = Pipeline::new();
    let ears = Ears::default();
    let subscriber = tracing_subscriber::registry()
        .with(pipeline.telemetry.span_layer().with_filter(filter_fn(|metadata| metadata.is_span())))
        .with(ears.clone().with_filter(LevelFilter::DEBUG));
    tracing::subscriber::with_default(subscriber, || {
        let _span = info_span!("span").entered();
        let _hidden = debug_span!("hidden").entered();
        info!("one");
        debug!("two");
        error!(parent: None, "three");
    });
    assert_eq!(ears.0.lock().unwrap().len(), 3);
    assert!(pipeline.span("span").events.is_empty());
}

/// 5190 of `librefang`, among many: behind `reload` or a box the context of a span could not be found, and nothing
/// was handed on. 0.34 finds an empty context there.
#[test]
fn p31_a_layer_in_a_box_behind_reload_is_found() {
    let pipeline = Pipeline::new();
    let boxed: Box<dyn Layer<Registry> + Send + Sync> = Box::new(pipeline.telemetry.span_layer());
    let (layer, handle) = reload::Layer::new(vec![boxed]);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let span = info_span!("span").entered();
        assert!(span.trace_id().is_some());
        span.set_parent(remote(7, 8, true));
        assert_eq!(current_context().span().span_context().trace_id(), TraceId::from(7));
        drop(span);
        handle.modify(Vec::clear).unwrap();
        assert_eq!(info_span!("unseen").trace_id(), None);
    });
    assert_eq!(pipeline.spans().len(), 1);
}

// ===== ends =====

/// A future that is dropped midway, or that panics, ends its span with what there was, and nothing stays active.
#[test]
fn a_future_that_is_dropped_or_panics_leaves_nothing_active() {
    let pipeline = Pipeline::new();
    pipeline.run(|| {
        let mut dropped = Box::pin(
            async {
                info!("begun");
                std::future::pending::<()>().await;
            }
            .instrument(info_span!("dropped")),
        );
        assert!(dropped.as_mut().poll(&mut Task::from_waker(Waker::noop())).is_pending());
        assert!(!Context::current().has_active_span());
        drop(dropped);
        drop(async {}.instrument(info_span!("never polled")));
        let panics = async {
            let _inner = info_span!("inner").entered();
            panic!("on purpose; this message in the test's output is fine");
        };
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            poll_to_end(panics.instrument(info_span!("panics")), || ());
        }));
        assert!(panicked.is_err());
        assert!(!Context::current().has_active_span());
        drop(info_span!("afterwards"));
    });
    assert_eq!(pipeline.span("dropped").events.len(), 1);
    assert_child(&pipeline.span("inner"), &pipeline.span("panics"));
    assert_eq!(pipeline.span("afterwards").parent_span_id, SpanId::INVALID);
    assert_eq!(pipeline.spans().len(), 5);
}

/// What is said about a span twice is exported once, as it was said last. 0.34 exports it as often as it was said.
#[test]
fn a_field_that_is_recorded_twice_is_one_attribute() {
    let pipeline = Pipeline::new();
    pipeline.run(|| {
        let span = info_span!("span", n = 1, text = "early", late = Empty);
        for n in 2..100 {
            span.record("n", n).record("late", n);
        }
        span.record("text", Level::INFO.as_str());
    });
    let span = pipeline.span("span");
    for (key, value) in [("n", 99.into()), ("late", 99.into()), ("text", opentelemetry::Value::from("INFO"))]
    {
        assert_eq!(span.attributes.iter().filter(|it| it.key.as_str() == key).count(), 1, "{key}");
        assert_eq!(attribute(&span, key), Some(value));
    }
}

/// Runs `future`, with `between` after each poll that was not its last.
fn poll_to_end<F: Future>(future: F, between: impl Fn()) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Task::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => between(),
        }
    }
}

impl Sink {
    fn logs(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

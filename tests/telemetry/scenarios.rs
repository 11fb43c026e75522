//! Bugs that users of `tracing-opentelemetry` reported, each as a test of this crate.
//!
//! A number is the issue in the tracker of `tracing-opentelemetry`, or of the crate that is named. The comments say where
//! release 0.34 still has the bug.

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

/// A layer that keeps the names of events and reads the current span at each event, as layers for logs do.
#[derive(Clone, Default)]
struct CurrentSpanReader(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for CurrentSpanReader {
    fn on_event(&self, event: &Event<'_>, cx: LayerContext<'_, S>) {
        if let Some(span) = cx.lookup_current() {
            let _extensions = span.extensions_mut();
        }
        let _ids = Span::current().trace_id();
        self.0.lock().unwrap().push(event.metadata().target().to_owned());
    }
}

// ===== locks =====

/// 250: OpenTelemetry logs while a span is being entered, because its stack of contexts is full.
#[test]
fn p32_a_log_of_opentelemetry_while_entering_does_not_deadlock() {
    in_time(|| {
        let pipeline = Pipeline::new();
        let reader = CurrentSpanReader::default();
        let subscriber =
            tracing_subscriber::registry().with(pipeline.telemetry.span_layer()).with(reader.clone());
        tracing::subscriber::with_default(subscriber, || {
            let attached: Vec<_> = (0..u16::MAX).map(|_| Context::new().attach()).collect();
            let before = reader.0.lock().unwrap().len();
            let span = info_span!("span").entered();
            drop(span);
            let events = reader.0.lock().unwrap().len() - before;
            assert_eq!(events, 1, "OpenTelemetry did not log while entering");
            drop(attached);
        });
        assert!(pipeline.span("span").events.is_empty());
    });
}

/// 59, and 763 and 1565 of `tracing`: the `Debug` of a value reads the span on which the value is being recorded.
#[test]
fn p32_a_value_that_reads_its_own_span_does_not_deadlock() {
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
        // With a subscriber that is not global, `tracing` itself ignores events inside events.
        let texts: Vec<_> = span.events.iter().map(|event| event.name.as_ref()).collect();
        assert_eq!(texts, ["looking", "an event"]);
        assert!(attribute(&pipeline.span("below"), "early").is_some());
    });
}

/// 3510 of `opentelemetry-rust`: the current context is borrowed during `get_active_span`, so OpenTelemetry cannot attach
/// another one there. Without activation, entering a span attaches none.
#[test]
fn a_span_inside_get_active_span_does_not_panic() {
    for activation in [true, false] {
        let pipeline =
            Pipeline::with(|builder| builder.configure(|settings| settings.activation = activation));
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

/// 94, and 1859 of `tracing`: events of one span on many threads were lost.
#[test]
fn events_of_one_span_on_many_threads_all_arrive() {
    const EACH: usize = 200;
    let pipeline = Pipeline::with(|builder| {
        let mut limits = campanile::telemetry::SpanLimits::default();
        limits.events = 4 * EACH;
        builder.configure(|settings| settings.limits = limits)
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

/// 183, 14, and 2399 of `tracing`: `follows_from` with a span that is closed, or that only another layer sees, panicked
/// and aborted the process.
#[test]
fn follows_from_accepts_closed_and_hidden_spans() {
    let pipeline = Pipeline::new();
    let subscriber = tracing_subscriber::registry()
        .with(CurrentSpanReader::default())
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
        // Spans close while others follow from them.
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

/// 3239 of `tracing`, and its consequence here: a span is still entered when its thread ends. 0.34 aborts the process.
#[test]
fn a_thread_may_end_inside_a_span() {
    use std::cell::RefCell;

    thread_local! {
        /// Created before the thread-locals of OpenTelemetry, so dropped after them.
        static KEPT: RefCell<Vec<EnteredSpan>> = const { RefCell::new(Vec::new()) };
    }

    for activation in [true, false] {
        let pipeline =
            Pipeline::with(|builder| builder.configure(|settings| settings.activation = activation));
        let dispatch = pipeline.dispatch();
        thread::spawn(move || {
            KEPT.with(|kept| kept.borrow_mut().reserve(2));
            tracing::dispatcher::with_default(&dispatch, || {
                // Without parents: at this point no subscriber is the default, so the registry would not close a parent.
                let outer = info_span!(parent: None, "outer").entered();
                let inner = info_span!(parent: None, "inner").entered();
                KEPT.with(|kept| kept.borrow_mut().extend([outer, inner]));
            });
        })
        .join()
        .expect("the end of the thread panicked");
        assert_eq!(names(&pipeline.spans()), ["outer", "inner"]);
    }
}

/// The last handle of a span is dropped on a thread without a subscriber.
#[test]
fn the_last_handle_may_be_dropped_without_a_subscriber() {
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

/// 25, and "Span has already been started, cannot set parent": after a span's context was read, the span was entered, or a
/// child was made, the parent could not be set, or the span was in two traces. 0.34 returns an error, and the span stays in
/// its own trace.
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
    // A log line has the ids at the time of the event.
    let logs = lines.logs();
    let of = |message: &str| logs.iter().find(|log| log["message"] == message).unwrap();
    assert_ne!(of("before")["trace_id"], TraceId::from(7).to_string());
    assert_eq!(of("after")["trace_id"], TraceId::from(7).to_string());
    assert_eq!(of("after")["span_id"], span.span_context.span_id().to_string());
    assert_eq!(of("below")["trace_id"], TraceId::from(7).to_string());
}

/// 86: an explicit parent that a filter hides caused a panic. 0.34 begins another trace below it.
#[test]
fn p31_a_hidden_parent_keeps_spans_connected() {
    let pipeline = Pipeline::new();
    let subscriber = tracing_subscriber::registry()
        .with(CurrentSpanReader::default())
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

/// 86: the filter changes between a span and its child.
#[test]
fn p31_a_changed_filter_keeps_spans_connected() {
    let pipeline = Pipeline::new();
    let (filter, handle) = reload::Layer::new(LevelFilter::INFO);
    let subscriber = tracing_subscriber::registry()
        .with(CurrentSpanReader::default())
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

/// 92: an event with an explicit parent was added to the current span. 0.34 sets no error status.
#[test]
fn an_event_is_added_to_its_explicit_parent() {
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

/// 202, 1571 and 2420 of `opentelemetry-rust`: spans and baggage of the OpenTelemetry API were not connected with those of
/// `tracing` in either direction, nor across an `await`.
#[test]
fn p31_spans_of_both_apis_nest_across_awaits() {
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

/// An unsampled trace has ids, and propagates them with the decision not to sample.
#[test]
fn p31_an_unsampled_trace_is_propagated() {
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

/// A second parent of the same trace may change the sampling decision.
#[test]
fn p31_a_parent_of_the_same_trace_may_change_sampling() {
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

/// A parent is set while an attached context is active between two spans.
#[test]
fn p31_setting_a_parent_leaves_an_attached_context_active() {
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

/// Two pipelines in one subscriber do not interfere. Two layers of 0.34 panic.
#[test]
fn p31_two_layers_in_one_subscriber_have_separate_trees() {
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

/// 257: a filter of the layer disabled events for other layers.
#[test]
fn a_filter_of_the_layer_does_not_affect_other_layers() {
    let pipeline = Pipeline::new();
    let reader = CurrentSpanReader::default();
    let subscriber = tracing_subscriber::registry()
        .with(pipeline.telemetry.span_layer().with_filter(filter_fn(|metadata| metadata.is_span())))
        .with(reader.clone().with_filter(LevelFilter::DEBUG));
    tracing::subscriber::with_default(subscriber, || {
        let _span = info_span!("span").entered();
        let _hidden = debug_span!("hidden").entered();
        info!("one");
        debug!("two");
        error!(parent: None, "three");
    });
    assert_eq!(reader.0.lock().unwrap().len(), 3);
    assert!(pipeline.span("span").events.is_empty());
}

/// 5190 of `librefang` and others: inside `reload` or a box, the context of a span was not found, so nothing was propagated.
/// 0.34 finds an empty context there.
#[test]
fn p31_a_boxed_layer_inside_reload_is_found() {
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

/// A future that is dropped early or panics ends its span with the attributes so far, and nothing stays active.
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
            panic!("this message is expected in the test's output");
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

/// A field that is recorded twice is exported once, with its last value. 0.34 exports it twice.
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

/// Polls `future` to its end, and calls `between` after each pending poll.
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

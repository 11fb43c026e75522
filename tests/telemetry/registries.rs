//! Several subscribers with one pipeline. Their registries assign the same ids, so spans of different subscribers share an id.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::thread;

use campanile::telemetry::{Console, SpanExt, current_context};
use opentelemetry::Context;
use opentelemetry::trace::{SpanId, Status, TraceContextExt, TraceId};
use tracing::dispatcher::with_default;
use tracing::field::Empty;
use tracing::instrument::WithSubscriber;
use tracing::span::Attributes;
use tracing::{Dispatch, Instrument, Span, debug_span, error, info, info_span};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Layer, Registry, reload};

use crate::support::{Pipeline, Sink, assert_child, attribute, names, remote, runtime};

fn two(pipeline: &Pipeline) -> [Dispatch; 2] {
    [pipeline.dispatch(), pipeline.dispatch()]
}

#[test]
fn p31_nested_subscribers_keep_their_spans_apart() {
    for activation in [true, false] {
        let pipeline = Pipeline::with(|builder| {
            builder.configure(|settings| {
                settings.activation = activation;
                settings.busy_and_idle = true;
            })
        });
        let [outside, inside] = two(&pipeline);
        with_default(&outside, || {
            let outer = info_span!("outer", n = Empty);
            let _entered = outer.enter();
            let outer_trace = outer.trace_id();
            with_default(&inside, || {
                info!("in no span of this subscriber");
                let inner = info_span!("inner", n = Empty);
                assert_eq!(inner.id(), outer.id(), "the registries start with different ids");
                let _entered = inner.enter();
                drop(info_span!("inner leaf"));
                inner.record("n", 2);
                outer.record("n", 1);
                error!("it failed");
                assert_eq!(current_context().span().span_context().trace_id(), inner.trace_id().unwrap());
                assert_ne!(inner.trace_id(), outer_trace);
            });
            assert_eq!(outer.trace_id(), outer_trace);
            info!("after");
            drop(info_span!("outer leaf"));
        });
        assert!(!Context::current().has_active_span());
        let [outer, inner] = ["outer", "inner"].map(|name| pipeline.span(name));
        for (span, leaf, n) in [(&outer, "outer leaf", 1_i64), (&inner, "inner leaf", 2)] {
            assert_eq!(span.parent_span_id, SpanId::INVALID, "{activation}");
            assert_child(&pipeline.span(leaf), span);
            assert_eq!(attribute(span, "n"), Some(n.into()), "{activation}");
            assert!(attribute(span, "busy_ns").is_some());
        }
        assert_eq!(names(&pipeline.spans()).len(), 4);
        assert_eq!((&outer.status, &inner.status), (&Status::Unset, &Status::error("it failed")));
        let events = |span: &opentelemetry_sdk::trace::SpanData| {
            span.events.iter().map(|event| event.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            (events(&outer), events(&inner)),
            (vec!["after".to_owned()], vec!["it failed".to_owned()])
        );
    }
}

#[test]
fn p31_futures_of_different_subscribers_take_turns_on_one_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(requests_of_four_subscribers());
}

#[test]
fn p31_futures_of_different_subscribers_move_between_threads() {
    let pipeline = Pipeline::new();
    runtime(&pipeline.dispatch()).block_on(async {
        for _ in 0..10 {
            requests_of_four_subscribers().await;
        }
    });
    assert!(pipeline.spans().is_empty(), "the subscriber of the threads got spans");
}

async fn requests_of_four_subscribers() {
    let pipeline = Pipeline::new();
    let work = |number: usize| {
        async move {
            for turn in 0..10 {
                tokio::task::yield_now().await;
                let inner = info_span!("inner", otel.name = format!("inner {number} {turn}"));
                async {
                    tokio::task::yield_now().await;
                    info!(number, "here");
                    let active = Context::map_current(|context| context.span().span_context().span_id());
                    assert_eq!(active, Span::current().context().span().span_context().span_id());
                }
                .instrument(inner)
                .await;
            }
        }
        .instrument(info_span!("request", otel.name = format!("request {number}")))
    };
    let tasks = (0..4).map(|number| {
        let dispatch = pipeline.dispatch();
        // The future is made under the same subscriber that polls it.
        let task = with_default(&dispatch, || work(number));
        tokio::spawn(task.with_subscriber(dispatch))
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let spans = pipeline.spans();
    assert_eq!(spans.len(), 4 * 11, "{:?}", names(&spans));
    for number in 0..4_usize {
        let request = pipeline.span(&format!("request {number}"));
        assert_eq!(request.parent_span_id, SpanId::INVALID);
        for turn in 0..10 {
            let inner = pipeline.span(&format!("inner {number} {turn}"));
            assert_child(&inner, &request);
            let found: Vec<_> = inner.events.iter().map(|event| event.attributes[0].value.clone()).collect();
            assert_eq!(found, [opentelemetry::Value::I64(number as i64)]);
        }
    }
}

#[test]
fn p31_a_span_can_be_entered_on_a_thread_of_another_subscriber() {
    let pipeline = Pipeline::new();
    let [here, there] = two(&pipeline);
    let ours = with_default(&here, || info_span!("ours"));
    let theirs = with_default(&there, || info_span!("theirs"));
    assert_eq!(theirs.id(), ours.id());
    thread::scope(|scope| {
        scope.spawn(|| {
            with_default(&there, || {
                let theirs = theirs.entered();
                let entered = ours.enter();
                // These go to the default subscriber of the thread, in which only `theirs` is entered.
                info!("event in theirs");
                drop(info_span!("below theirs"));
                // Spans are exited out of order.
                drop(theirs);
                let active = Context::map_current(|context| context.span().span_context().span_id());
                assert_eq!(active, ours.context().span().span_context().span_id());
                drop(entered);
                assert!(!Context::current().has_active_span());
            });
        });
    });
    with_default(&here, || {
        drop(info_span!(parent: &ours, "below ours"));
        drop(ours);
    });
    assert_child(&pipeline.span("below theirs"), &pipeline.span("theirs"));
    assert_child(&pipeline.span("below ours"), &pipeline.span("ours"));
    assert_eq!(pipeline.span("theirs").events.len(), 1);
    assert!(pipeline.span("ours").events.is_empty());
}

#[test]
fn p31_an_explicit_parent_is_looked_up_in_the_same_registry() {
    let pipeline = Pipeline::new();
    let [one, other] = two(&pipeline);
    let [a, b] = [("a", &one), ("b", &other)].map(|(name, dispatch)| {
        with_default(dispatch, || info_span!("root", otel.name = name, late = Empty))
    });
    assert_eq!(a.id(), b.id());
    let below_a = with_default(&one, || info_span!(parent: &a, "below a"));
    let below_b = with_default(&other, || info_span!(parent: &b, "below b"));
    // A late parent changes the trace of the spans below in the same registry.
    a.set_parent(remote(7, 8, true));
    assert_eq!(below_a.trace_id(), Some(TraceId::from(7)));
    assert_ne!(below_b.trace_id(), Some(TraceId::from(7)));
    assert_eq!(below_b.trace_id(), b.trace_id());
    with_default(&one, || b.follows_from(&below_b));
    // An explicit parent of another registry.
    below_b.set_parent(below_a.context());
    // When a span closes, the registry closes its parent through the default subscriber.
    with_default(&one, || drop((a, below_a)));
    with_default(&other, || drop((b, below_b)));
    assert_child(&pipeline.span("below a"), &pipeline.span("a"));
    assert_child(&pipeline.span("below b"), &pipeline.span("below a"));
    assert_eq!(pipeline.span("b").parent_span_id, SpanId::INVALID);
    assert_eq!(pipeline.span("b").links.len(), 1);
    assert!(pipeline.span("a").links.is_empty());
}

/// A span that is created through the subscriber itself does not keep the subscriber alive.
#[test]
fn p31_a_dropped_registry_leaves_no_span_to_the_next_one() {
    let pipeline = Pipeline::new();
    let template = with_default(&pipeline.dispatch(), || info_span!("left behind"));
    let metadata = template.metadata().unwrap();
    let mut ids = Vec::new();
    for _ in 0..20 {
        // The same layout each time, so that a subscriber may be allocated at the address of the last one.
        let hidden =
            pipeline.telemetry.span_layer().with_filter(filter_fn(|metadata| metadata.name() != "hidden"));
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(hidden));
        with_default(&dispatch, || {
            let hidden = info_span!("hidden");
            ids.push(hidden.id().unwrap());
            assert_eq!(hidden.trace_id(), None, "the layer sees the hidden span");
            hidden.in_scope(|| error!("an event in a hidden span"));
            drop(info_span!(parent: &hidden, "root"));
        });
        let left = dispatch.new_span(&Attributes::new_root(metadata, &metadata.fields().value_set(&[])));
        ids.push(left);
    }
    assert!(ids.iter().filter(|id| **id == ids[0]).count() > 1, "no id is used twice");
    drop(template);
    for root in pipeline.spans().iter().filter(|span| span.name == "root") {
        assert_eq!(root.parent_span_id, SpanId::INVALID);
    }
    assert_eq!(names(&pipeline.spans()).len(), 21);
}

#[test]
fn p31_a_filter_affects_its_own_subscriber_only() {
    let pipeline = Pipeline::new();
    let filtered = Dispatch::new(
        tracing_subscriber::registry()
            .with(pipeline.telemetry.span_layer().with_filter(LevelFilter::INFO))
            .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink)),
    );
    let open = pipeline.dispatch();
    with_default(&filtered, || {
        let root = info_span!("root").entered();
        let hidden = debug_span!("hidden").entered();
        with_default(&open, || {
            let other = info_span!("other").entered();
            let seen = debug_span!("seen").entered();
            assert_eq!((other.id(), seen.id()), (root.id(), hidden.id()));
            info!("in seen");
        });
        info!("in root");
        drop(info_span!("leaf"));
        assert_eq!(hidden.trace_id(), None);
    });
    assert_child(&pipeline.span("leaf"), &pipeline.span("root"));
    assert_child(&pipeline.span("seen"), &pipeline.span("other"));
    assert_eq!(names(&pipeline.spans()).len(), 4);
    for name in ["root", "seen"] {
        assert_eq!(pipeline.span(name).events.len(), 1, "{name}");
    }
}

#[test]
fn p31_a_clone_of_a_layer_is_a_layer_of_its_own() {
    let pipeline = Pipeline::new();
    let layer = pipeline.telemetry.span_layer();
    let (reloaded, handle) = reload::Layer::<_, Registry>::new(Some(layer.clone()));
    let dispatches = [
        Dispatch::new(tracing_subscriber::registry().with(layer.clone()).with(layer.clone())),
        Dispatch::new(tracing_subscriber::registry().with(layer)),
        Dispatch::new(tracing_subscriber::registry().with(reloaded)),
    ];
    let spans: Vec<_> = dispatches
        .iter()
        .map(|dispatch| with_default(dispatch, || info_span!("span", late = Empty).entered()))
        .collect();
    // Spans continue if a layer is replaced by another one of the same pipeline.
    let before = spans[2].trace_id();
    handle.reload(Some(pipeline.telemetry.span_layer())).unwrap();
    assert_eq!(spans[2].trace_id(), before);
    for (number, (span, dispatch)) in spans.iter().zip(&dispatches).enumerate() {
        span.record("late", number);
        with_default(dispatch, || info!("here"));
    }
    spans.into_iter().rev().for_each(drop);
    let mut late: Vec<_> =
        pipeline.spans().iter().map(|span| attribute(span, "late").unwrap().to_string()).collect();
    late.sort();
    assert_eq!(late, ["0", "0", "1", "2"], "the two layers of one registry do not have a span each");
    assert!(pipeline.spans().iter().all(|span| span.events.len() == 1));
    assert!(!Context::current().has_active_span());
}

#[test]
fn p31_a_console_shows_the_ids_of_its_own_subscriber() {
    let sink = Sink::default();
    let writer = sink.clone();
    let pipeline =
        Pipeline::with(|builder| builder.console(Console::Json).console_writer(move || writer.clone()));
    let telemetry = &pipeline.telemetry;
    let spans = || telemetry.span_layer();
    let (reloaded, _handle) = reload::Layer::new(spans());
    let dispatches = [
        Dispatch::new(tracing_subscriber::registry().with(spans()).with(telemetry.console_layer())),
        Dispatch::new(tracing_subscriber::registry().with(telemetry.console_layer()).with(spans())),
        Dispatch::new(tracing_subscriber::registry().with(Some(spans())).with(telemetry.console_layer())),
        Dispatch::new(tracing_subscriber::registry().with(spans().and_then(telemetry.console_layer()))),
        Dispatch::new(tracing_subscriber::registry().with(reloaded).with(telemetry.console_layer())),
        // This subscriber has no span layer.
        Dispatch::new(tracing_subscriber::registry().with(telemetry.console_layer())),
    ];
    let open: Vec<_> =
        dispatches.iter().map(|dispatch| with_default(dispatch, || info_span!("span"))).collect();
    assert!(open.iter().all(|span| span.id() == open[0].id()));
    for (span, dispatch) in open.iter().zip(&dispatches) {
        with_default(dispatch, || span.in_scope(|| info!("here")));
    }
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let shown = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.get("trace_id").map(|id| id.as_str().unwrap().to_owned())
    });
    let right = open.iter().map(|span| span.trace_id().map(|id| id.to_string()));
    assert_eq!(shown.collect::<Vec<_>>(), right.collect::<Vec<_>>());
    assert!(open[5].trace_id().is_none() && open[..5].iter().all(|span| span.trace_id().is_some()));
}

#[test]
fn a_console_finds_a_replaced_layer() {
    let sink = Sink::default();
    let writer = sink.clone();
    let pipeline =
        Pipeline::with(|builder| builder.console(Console::Human).console_writer(move || writer.clone()));
    let (reloaded, handle) = reload::Layer::new(Some(pipeline.telemetry.span_layer()));
    let console = pipeline.telemetry.console_layer();
    let other = pipeline.dispatch();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(reloaded).with(console));
    let other = with_default(&other, || info_span!("other"));
    with_default(&dispatch, || {
        info_span!("span").in_scope(|| info!("with"));
        // Without an open span.
        handle.reload(None).unwrap();
        info_span!("span").in_scope(|| info!("without"));
        handle.reload(Some(pipeline.telemetry.span_layer())).unwrap();
        let span = info_span!("span").entered();
        info!("again");
        // A layer that gets no other calls than these works too.
        for _ in 0..3 {
            assert!(span.trace_id().is_some());
        }
        info!("no blanks");
    });
    drop(other);
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let shown: Vec<_> = text.lines().map(|line| line.contains("trace_id=")).collect();
    assert_eq!(shown, [true, false, true, true], "{text}");
    assert!(text.contains(" span: telemetry::registries: no blanks"), "{text}");
}

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

#[test]
fn p31_a_boxed_layer_continues_the_spans_of_its_registry() {
    let sink = Sink::default();
    let writer = sink.clone();
    let pipeline =
        Pipeline::with(|builder| builder.console(Console::Human).console_writer(move || writer.clone()));
    let boxed = || -> Boxed { Box::new(pipeline.telemetry.span_layer()) };
    // Each box has another address, and spans of both registries have the same ids.
    let (mine, handle) = reload::Layer::new(boxed());
    let (other, of_the_other) = reload::Layer::new(boxed());
    let mine =
        Dispatch::new(tracing_subscriber::registry().with(mine).with(pipeline.telemetry.console_layer()));
    let other = Dispatch::new(tracing_subscriber::registry().with(other));
    let waiting = with_default(&other, || info_span!("waiting"));
    with_default(&mine, || {
        for _ in 0..20 {
            let parent = info_span!("parent").entered();
            handle.reload(boxed()).unwrap();
            info_span!("child").in_scope(|| info!("within"));
            drop(parent);
            // Without an open span.
            handle.reload(boxed()).unwrap();
            info_span!("alone").in_scope(|| info!("alone"));
        }
    });
    of_the_other.reload(boxed()).unwrap();
    drop(waiting);
    let spans = pipeline.spans();
    let of = |name: &str| spans.iter().filter(|span| span.name == name).cloned().collect::<Vec<_>>();
    assert_eq!(["parent", "child", "alone", "waiting"].map(|name| of(name).len()), [20, 20, 20, 1]);
    for (child, parent) in of("child").iter().zip(&of("parent")) {
        assert_child(child, parent);
    }
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let shown = text.lines().filter(|line| line.contains("trace_id=")).count();
    assert_eq!(shown, 40, "{text}");
}

/// A value in a context. Its reference count shows whether the span is still in the table.
#[derive(Debug)]
struct Held(#[allow(dead_code)] Arc<()>);

#[test]
fn spans_that_end_without_the_layer_are_dropped() {
    let pipeline = Pipeline::new();
    let (layer, handle) = reload::Layer::new(Some(pipeline.telemetry.span_layer()));
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
    let value = Arc::new(());
    with_default(&dispatch, || {
        let parent = || remote(1, 2, true).with_value(Held(Arc::clone(&value)));
        let (open, closed) = (info_span!("open"), info_span!("closed"));
        open.set_parent(parent());
        closed.set_parent(parent());
        assert_eq!(Arc::strong_count(&value), 3);
        handle.reload(None).unwrap();
        drop(closed);
        handle.reload(Some(pipeline.telemetry.span_layer())).unwrap();
        drop(info_span!(parent: &open, "child"));
        assert_eq!(Arc::strong_count(&value), 2, "the span is not in the table alone");
    });
    assert_child(&pipeline.span("child"), &pipeline.span("open"));
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn p31_log_records_have_the_ids_of_their_own_subscriber() {
    let exporter = opentelemetry_sdk::logs::InMemoryLogExporter::default();
    let pipeline = Pipeline::with(|builder| builder.log_exporter(exporter.clone()));
    let [one, other] = two(&pipeline);
    let [a, b] = [&one, &other].map(|dispatch| with_default(dispatch, || info_span!("span")));
    for (span, dispatch, name) in [(&a, &one, "a"), (&b, &other, "b")] {
        with_default(dispatch, || info!(parent: span, "{name}"));
    }
    assert!(pipeline.telemetry.force_flush(crate::support::LONG));
    for (log, span) in exporter.get_emitted_logs().unwrap().iter().zip([&a, &b]) {
        let found = log.record.trace_context().expect("ids");
        let context = span.context();
        assert_eq!(found.span_id, context.span().span_context().span_id());
    }
}

/// How a span should be exported.
#[derive(Default)]
struct Expected {
    /// Its parent in the registry, which is its exported parent unless another one is set.
    parent: Option<usize>,
    remote: Option<u64>,
    /// The trace id, if it comes from a remote parent.
    trace: Option<u64>,
    late: Option<i64>,
    events: usize,
    /// Whether its handle was dropped.
    gone: bool,
}

#[derive(Default)]
struct Model(BTreeMap<usize, Expected>);

impl Model {
    fn children(&self, of: usize) -> impl Iterator<Item = usize> {
        self.0.iter().filter(move |(_, span)| span.parent == Some(of)).map(|(number, _)| *number)
    }

    fn is_open(&self, number: usize) -> bool {
        !self.0[&number].gone || self.children(number).any(|child| self.is_open(child))
    }

    /// Moves the span and those below it into the trace of a remote parent.
    fn follow(&mut self, number: usize, trace: u64) {
        let below: Vec<_> = self.children(number).collect();
        for child in below {
            if self.0[&child].remote.is_none() && self.is_open(child) {
                self.follow(child, trace);
            }
        }
        self.0.get_mut(&number).unwrap().trace = Some(trace);
    }
}

/// Spans of four subscribers, one of them with a filter, in random orders.
#[test]
fn p31_random_spans_of_several_registries() {
    for seed in 0..u64::from(crate::long::times(40, 4_000)) {
        let mut random = fastrand::Rng::with_seed(seed);
        let pipeline = Pipeline::new();
        let filtered = pipeline.telemetry.span_layer().with_filter(LevelFilter::INFO);
        let mut dispatches: Vec<_> = (0..3).map(|_| pipeline.dispatch()).collect();
        dispatches.push(Dispatch::new(tracing_subscriber::registry().with(filtered)));
        let mut live: Vec<Vec<(usize, Span)>> = vec![Vec::new(); 4];
        let mut model = Model::default();
        for step in 0..200 {
            let registry = random.usize(0..4);
            let other = &dispatches[random.usize(0..4)];
            let pick = (!live[registry].is_empty()).then(|| random.usize(0..live[registry].len()));
            match (random.u8(0..10), pick) {
                (0..3, pick) => {
                    let parent = pick.map(|at| &live[registry][at]);
                    let name = step.to_string();
                    let span = with_default(&dispatches[registry], || match parent {
                        Some((_, parent)) if random.bool() => {
                            // Entered inside a span of another registry.
                            let _below =
                                with_default(other, || info_span!(target: "opentelemetry", "no").entered());
                            let _entered = parent.enter();
                            info_span!("span", otel.name = name, late = Empty)
                        }
                        Some((_, parent)) => {
                            info_span!(parent: parent, "span", otel.name = name, late = Empty)
                        }
                        None => info_span!(parent: None, "span", otel.name = name, late = Empty),
                    });
                    let parent = parent.map(|(step, _)| *step);
                    let trace = parent.and_then(|parent| model.0[&parent].trace);
                    model.0.insert(step, Expected { parent, trace, ..Expected::default() });
                    live[registry].push((step, span));
                }
                (3, Some(at)) => {
                    let (number, span) = &live[registry][at];
                    with_default(other, || span.record("late", step as i64));
                    model.0.get_mut(number).unwrap().late = Some(step as i64);
                }
                (4 | 5, Some(at)) => {
                    let (number, span) = &live[registry][at];
                    with_default(other, || {
                        let _entered = span.enter();
                        with_default(&dispatches[registry], || info!("here"));
                    });
                    model.0.get_mut(number).unwrap().events += 1;
                }
                (6, Some(at)) => {
                    let (number, span) = &live[registry][at];
                    let id = 1_000 + step as u64;
                    span.set_parent(remote(u128::from(id), id, true));
                    model.0.get_mut(number).unwrap().remote = Some(id);
                    model.follow(*number, id);
                }
                (7.., Some(at)) => {
                    let (number, span) = live[registry].swap_remove(at);
                    model.0.get_mut(&number).unwrap().gone = true;
                    // When a span closes, the registry closes its parent through the default subscriber.
                    let end = || with_default(&dispatches[registry], || drop(span));
                    if random.bool() { thread::scope(|scope| _ = scope.spawn(end)) } else { end() }
                }
                _ => {}
            }
            assert!(!Context::current().has_active_span(), "seed {seed}, step {step}");
        }
        for (spans, dispatch) in live.into_iter().zip(&dispatches) {
            with_default(dispatch, || drop(spans));
        }
        let spans = pipeline.spans();
        let found: HashMap<usize, _> = spans.iter().map(|span| (span.name.parse().unwrap(), span)).collect();
        assert_eq!((found.len(), spans.len()), (model.0.len(), model.0.len()), "seed {seed}");
        for (number, expected) in &model.0 {
            let (span, case) = (found[number], format!("seed {seed}, span {number}"));
            let parent = match (expected.remote, expected.parent) {
                (Some(remote), _) => SpanId::from(remote),
                (None, Some(parent)) => found[&parent].span_context.span_id(),
                (None, None) => SpanId::INVALID,
            };
            assert_eq!(span.parent_span_id, parent, "{case}");
            assert_eq!(attribute(span, "late"), expected.late.map(Into::into), "{case}");
            assert_eq!(span.events.len(), expected.events, "{case}");
            if let Some(trace) = expected.trace {
                assert_eq!(span.span_context.trace_id(), TraceId::from(u128::from(trace)), "{case}");
            }
        }
    }
}

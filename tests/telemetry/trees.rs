//! P31 for random programs: spans on several threads, compared with a naive model.
//!
//! Each step runs on one of a few threads and ends before the next begins, so there is one right result. Races are tested in
//! `parents.rs` and at the end of this file.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use campanile::telemetry::{SpanExt, current_context};
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, ContextGuard};
use opentelemetry_sdk::trace::SpanData;
use proptest::prelude::*;
use tracing::field::Empty;
use tracing::span::EnteredSpan;
use tracing::{Dispatch, Instrument, Level, Span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::prelude::*;

use crate::support::{Pipeline, runtime};

const SPANS: usize = 12;
const THREADS: usize = 3;

/// One step of a program. Numbers select among the existing spans.
#[derive(Clone, Debug)]
enum Step {
    New { hidden: bool, parent: Parent },
    Clone(usize),
    Drop(usize),
    Enter(usize),
    Leave(usize),
    Record(usize, Field),
    Event { fails: bool, parent: Parent },
    Follow(usize, usize),
    SetRemote { span: usize, sampled: bool },
    SetLocal(usize, usize),
    AttachRemote { sampled: bool },
    AttachSpan(usize),
    Detach(usize),
    Ask(usize),
    AskCurrent,
}

#[derive(Clone, Copy, Debug)]
enum Parent {
    Current,
    None,
    Span(usize),
}

#[derive(Clone, Copy, Debug)]
enum Field {
    A(i64),
    B(i64),
    Status(&'static str),
    Client,
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let any = || 0..64_usize;
    let parent = || {
        prop_oneof![
            4 => Just(Parent::Current),
            1 => Just(Parent::None),
            2 => any().prop_map(Parent::Span),
        ]
    };
    let field = prop_oneof![
        any_value().prop_map(Field::A),
        any_value().prop_map(Field::B),
        prop_oneof![Just("ok"), Just("error"), Just("unset")].prop_map(Field::Status),
        Just(Field::Client),
    ];
    let step = prop_oneof![
        8 => (prop::bool::weighted(0.2), parent()).prop_map(|(hidden, parent)| Step::New { hidden, parent }),
        2 => any().prop_map(Step::Clone),
        4 => any().prop_map(Step::Drop),
        8 => any().prop_map(Step::Enter),
        6 => any().prop_map(Step::Leave),
        4 => (any(), field).prop_map(|(span, field)| Step::Record(span, field)),
        5 => (prop::bool::ANY, parent()).prop_map(|(fails, parent)| Step::Event { fails, parent }),
        2 => (any(), any()).prop_map(|(span, other)| Step::Follow(span, other)),
        3 => (any(), prop::bool::weighted(0.7)).prop_map(|(span, sampled)| Step::SetRemote { span, sampled }),
        1 => (any(), any()).prop_map(|(span, other)| Step::SetLocal(span, other)),
        2 => prop::bool::weighted(0.7).prop_map(|sampled| Step::AttachRemote { sampled }),
        1 => any().prop_map(Step::AttachSpan),
        3 => any().prop_map(Step::Detach),
        3 => any().prop_map(Step::Ask),
        3 => Just(Step::AskCurrent),
    ];
    prop::collection::vec((0..THREADS, step), 1..90)
}

fn any_value() -> impl Strategy<Value = i64> {
    0..9_i64
}

// ===== the model =====

/// The parent of a span.
#[derive(Clone, Debug, PartialEq)]
enum ModelParent {
    Nothing,
    /// The parent from the span's creation.
    Local(usize),
    Remote(SpanId),
    /// A span that was set as the parent through its context.
    Span(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    None,
    Failed,
    Ok,
    Error,
}

#[derive(Clone, Debug)]
struct Node {
    /// Whether a filter hides it from the layer.
    hidden: bool,
    /// Parent in the registry, hidden or not. The registry keeps it open until this span closes.
    below: Option<usize>,
    handles: usize,
    /// The number of handles, guards and children that keep it open.
    held: usize,
    open: bool,
    above: ModelParent,
    trace: TraceId,
    sampled: bool,
    /// Whether it was unsampled for a time, from which nothing is recorded.
    gaps: bool,
    attributes: BTreeMap<&'static str, i64>,
    events: Vec<String>,
    links: Vec<(TraceId, usize)>,
    kind: SpanKind,
    verdict: Verdict,
    description: String,
    /// The steps in which it was made and closed.
    made: usize,
    closed: usize,
}

/// An entry in OpenTelemetry's stack of contexts of a thread.
#[derive(Clone, Debug, PartialEq)]
enum Active {
    /// A span that was entered.
    Entered(usize),
    Remote(TraceId, SpanId, bool),
    /// The attached context of a span, with the trace and the sampling of that time.
    Span(usize, TraceId, bool),
}

#[derive(Default)]
struct Thread {
    /// The entered spans. The flag marks a span that was entered before and stays unchanged.
    entered: Vec<(usize, bool)>,
    active: Vec<(usize, Active)>,
    /// The attached contexts, for `Detach`.
    attached: Vec<usize>,
}

struct Model {
    activation: bool,
    nodes: Vec<Node>,
    threads: Vec<Thread>,
    step: usize,
    next_key: usize,
}

impl Model {
    fn new(activation: bool) -> Self {
        let threads = (0..THREADS).map(|_| Thread::default()).collect();
        Self { activation, nodes: Vec::new(), threads, step: 0, next_key: 0 }
    }

    fn current(&self, thread: usize) -> Option<usize> {
        self.threads[thread].entered.iter().rev().find(|(_, again)| !again).map(|(span, _)| *span)
    }

    /// The nearest span that the layer sees: `span` or one above it.
    fn seen(&self, mut span: Option<usize>) -> Option<usize> {
        while let Some(at) = span {
            if !self.nodes[at].hidden {
                return span;
            }
            span = self.nodes[at].below;
        }
        None
    }

    /// The context that was attached inside the innermost entered span.
    fn foreign(&self, thread: usize) -> Option<(ModelParent, TraceId, bool)> {
        let thread = &self.threads[thread];
        let innermost = thread.active.iter().rev().find_map(|(_, active)| match active {
            Active::Entered(span) => Some(*span),
            _ => None,
        });
        match &thread.active.last()?.1 {
            Active::Entered(_) => None,
            Active::Span(span, ..) if innermost == Some(*span) => None,
            Active::Span(span, trace, sampled) => Some((ModelParent::Span(*span), *trace, *sampled)),
            Active::Remote(trace, span, sampled) => Some((ModelParent::Remote(*span), *trace, *sampled)),
        }
    }

    fn make(&mut self, thread: usize, hidden: bool, parent: Parent) {
        let below = match parent {
            Parent::Current => self.current(thread),
            Parent::None => None,
            Parent::Span(span) => Some(span),
        };
        let foreign = if matches!(parent, Parent::Current) { self.foreign(thread) } else { None };
        let local = self.seen(below).map(|span| {
            let node = &self.nodes[span];
            (ModelParent::Local(span), node.trace, node.sampled)
        });
        let found = if self.activation { foreign.or(local) } else { local.or(foreign) };
        let (above, trace, sampled) = found.unwrap_or((ModelParent::Nothing, TraceId::INVALID, true));
        if let Some(below) = below {
            self.nodes[below].held += 1;
        }
        let attributes =
            if sampled { BTreeMap::from([("key", self.nodes.len() as i64)]) } else { BTreeMap::new() };
        self.nodes.push(Node {
            hidden,
            below,
            handles: 1,
            held: 1,
            open: true,
            above,
            trace,
            sampled,
            gaps: !sampled,
            attributes,
            events: Vec::new(),
            links: Vec::new(),
            kind: SpanKind::Internal,
            verdict: Verdict::None,
            description: String::new(),
            made: self.step,
            closed: 0,
        });
    }

    fn release(&mut self, mut span: usize) {
        loop {
            let node = &mut self.nodes[span];
            node.held -= 1;
            if node.held > 0 {
                return;
            }
            (node.open, node.closed) = (false, self.step);
            let Some(below) = node.below else { return };
            span = below;
        }
    }

    fn enter(&mut self, thread: usize, span: usize) {
        let again = self.threads[thread].entered.iter().any(|(other, _)| *other == span);
        self.threads[thread].entered.push((span, again));
        // The guard keeps the span open.
        self.nodes[span].held += 1;
        if self.activation && !self.nodes[span].hidden {
            self.attach(thread, Active::Entered(span));
        }
    }

    fn leave(&mut self, thread: usize, span: usize) {
        let on = &mut self.threads[thread];
        let place = on.entered.iter().rposition(|(other, _)| *other == span).unwrap();
        on.entered.remove(place);
        if let Some(place) = on.active.iter().rposition(|(_, active)| *active == Active::Entered(span)) {
            on.active.remove(place);
        }
        self.release(span);
    }

    fn attach(&mut self, thread: usize, active: Active) -> usize {
        self.next_key += 1;
        self.threads[thread].active.push((self.next_key, active));
        self.next_key
    }

    fn event(&mut self, thread: usize, text: String, fails: bool, parent: Parent) {
        let target = match parent {
            Parent::Current => {
                let mut entered = self.threads[thread].entered.iter().rev();
                entered.find(|(span, again)| !again && !self.nodes[*span].hidden).map(|(span, _)| *span)
            }
            Parent::None => None,
            // A layer cannot find the parents of a span that its filter hides.
            Parent::Span(span) => (!self.nodes[span].hidden).then_some(span),
        };
        let Some(node) = target.map(|span| &mut self.nodes[span]) else { return };
        if fails && node.verdict != Verdict::Ok {
            if node.verdict == Verdict::None {
                node.verdict = Verdict::Failed;
            }
            if node.sampled && node.verdict == Verdict::Failed {
                node.description.clone_from(&text);
            }
        }
        if node.sampled {
            node.events.push(text);
        }
    }

    fn record(&mut self, span: usize, field: Field) {
        let node = &mut self.nodes[span];
        let mut put = |key, value| {
            if node.sampled {
                node.attributes.insert(key, value);
            }
        };
        match field {
            Field::A(value) => put("a", value),
            Field::B(value) => put("b", value),
            Field::Client if node.sampled => node.kind = SpanKind::Client,
            Field::Client => {}
            Field::Status("ok") => node.verdict = Verdict::Ok,
            Field::Status("error") => node.verdict = Verdict::Error,
            Field::Status(_) => node.verdict = Verdict::None,
        }
    }

    fn adopt(&mut self, span: usize, above: ModelParent, trace: TraceId, sampled: bool) {
        self.nodes[span].above = above;
        let mut moved = vec![span];
        let mut next = 0;
        while let Some(at) = moved.get(next).copied() {
            next += 1;
            let children = (0..self.nodes.len()).filter(|child| {
                self.nodes[*child].open && self.nodes[*child].above == ModelParent::Local(at)
            });
            moved.extend(children);
            let node = &mut self.nodes[at];
            if node.sampled && !sampled {
                (node.attributes, node.events, node.links) = Default::default();
                node.kind = SpanKind::Internal;
                node.description.clear();
            }
            (node.trace, node.sampled) = (trace, sampled);
            node.gaps |= !sampled;
        }
    }

    fn is_below(&self, span: usize, other: usize) -> bool {
        let mut next = Some(span);
        while let Some(at) = next {
            if at == other {
                return true;
            }
            next = match self.nodes[at].above {
                ModelParent::Local(above) | ModelParent::Span(above) => Some(above),
                _ => None,
            };
        }
        false
    }
}

// ===== the real thing =====

/// The guards that a thread holds.
#[derive(Default)]
struct Local {
    entered: Vec<(usize, EnteredSpan)>,
    attached: Vec<(usize, ContextGuard)>,
}

type Job = Box<dyn FnOnce(&mut Local) + Send>;

struct Worker(Sender<Job>);

impl Worker {
    fn start(dispatch: Dispatch) -> Self {
        let (jobs, queue) = channel::<Job>();
        thread::spawn(move || {
            tracing::dispatcher::with_default(&dispatch, || {
                let mut local = Local::default();
                while let Ok(job) = queue.recv() {
                    job(&mut local);
                }
            });
        });
        Self(jobs)
    }

    fn run<R: Send + 'static>(&self, job: impl FnOnce(&mut Local) -> R + Send + 'static) -> R {
        let (done, result) = channel();
        self.0.send(Box::new(move |local| done.send(job(local)).unwrap())).unwrap();
        result.recv().expect("the step does not panic")
    }
}

macro_rules! span {
    ($level:expr, $number:expr, $parent:expr) => {
        span!($level, $number, $parent; 0 1 2 3 4 5 6 7 8 9 10 11)
    };
    ($level:expr, $number:expr, $parent:expr; $($name:literal)*) => {
        match ($number, $parent) {
            $(
                ($name, None) => tracing::span!(
                    $level, concat!("s", $name),
                    key = $name, a = Empty, b = Empty, otel.kind = Empty, otel.status_code = Empty
                ),
                ($name, Some(parent)) => tracing::span!(
                    parent: parent, $level, concat!("s", $name),
                    key = $name, a = Empty, b = Empty, otel.kind = Empty, otel.status_code = Empty
                ),
            )*
            _ => unreachable!("there are no more names"),
        }
    };
}

/// `None` is the current span, `Some(None)` is no parent.
type ParentArgument = Option<Option<Span>>;

fn make(number: usize, hidden: bool, parent: ParentArgument) -> Span {
    let parent = parent.as_ref().map(|span| span.as_ref().and_then(Span::id));
    if hidden { span!(Level::DEBUG, number, parent) } else { span!(Level::INFO, number, parent) }
}

fn emit(text: &str, fails: bool, parent: ParentArgument) {
    let parent = parent.as_ref().map(|span| span.as_ref().and_then(Span::id));
    match (parent, fails) {
        (None, false) => tracing::info!("{text}"),
        (None, true) => tracing::error!("{text}"),
        (Some(parent), false) => tracing::info!(parent: parent, "{text}"),
        (Some(parent), true) => tracing::error!(parent: parent, "{text}"),
    }
}

/// A layer without a filter. It makes the registry create the spans that are hidden from the span layer.
struct Unfiltered;

impl<S: tracing::Subscriber> Layer<S> for Unfiltered {}

fn remote(number: usize, sampled: bool) -> (TraceId, SpanId, Context) {
    let (trace, span) =
        (TraceId::from(0xAAAA_0000 + number as u128), SpanId::from(0xBBBB_0000 + number as u64));
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    (trace, span, Context::new().with_remote_span_context(context))
}

struct World {
    model: Model,
    workers: Vec<Worker>,
    handles: Vec<Vec<Span>>,
    ids: Vec<Option<SpanId>>,
}

impl World {
    /// One of the spans that have handles.
    fn pick(&self, number: usize) -> Option<usize> {
        let with_handles: Vec<_> =
            (0..self.handles.len()).filter(|span| !self.handles[*span].is_empty()).collect();
        (!with_handles.is_empty()).then(|| with_handles[number % with_handles.len()])
    }

    /// One of the spans that have handles and that the layer sees.
    fn pick_seen(&self, number: usize) -> Option<usize> {
        let seen: Vec<_> = (0..self.handles.len())
            .filter(|span| !self.handles[*span].is_empty() && !self.model.nodes[*span].hidden)
            .collect();
        (!seen.is_empty()).then(|| seen[number % seen.len()])
    }

    fn parent(&self, parent: Parent) -> (Parent, ParentArgument) {
        match parent {
            Parent::Current => (Parent::Current, None),
            Parent::None => (Parent::None, Some(None)),
            Parent::Span(number) => match self.pick(number) {
                Some(span) => (Parent::Span(span), Some(Some(self.handles[span][0].clone()))),
                None => (Parent::None, Some(None)),
            },
        }
    }

    fn take(&mut self, thread: usize, step: Step) -> Result<(), TestCaseError> {
        self.model.step += 1;
        let now = self.model.step;
        let worker = &self.workers[thread];
        match step {
            Step::New { hidden, parent } => {
                let number = self.model.nodes.len();
                if number == SPANS {
                    return Ok(());
                }
                let (parent, of) = self.parent(parent);
                self.model.make(thread, hidden, parent);
                let span = worker.run(move |_| make(number, hidden, of));
                let node = &mut self.model.nodes[number];
                if hidden {
                    prop_assert_eq!(span.trace_id(), None);
                } else if node.above == ModelParent::Nothing {
                    node.trace = span.trace_id().expect("the layer knows it");
                } else {
                    prop_assert_eq!(span.trace_id(), Some(node.trace), "s{}", number);
                }
                self.handles.push(vec![span]);
                self.ids.push(None);
            }
            Step::Clone(number) => {
                let Some(span) = self.pick(number) else { return Ok(()) };
                let clone = self.handles[span][0].clone();
                self.handles[span].push(clone);
                self.model.nodes[span].handles += 1;
                self.model.nodes[span].held += 1;
            }
            Step::Drop(number) => {
                let Some(span) = self.pick(number) else { return Ok(()) };
                let handle = self.handles[span].pop();
                worker.run(move |_| drop(handle));
                self.model.nodes[span].handles -= 1;
                self.model.release(span);
            }
            Step::Enter(number) => {
                let Some(span) = self.pick(number) else { return Ok(()) };
                let handle = self.handles[span][0].clone();
                worker.run(move |local| local.entered.push((span, handle.entered())));
                self.model.enter(thread, span);
            }
            Step::Leave(number) => {
                let left = worker.run(move |local| {
                    let place = number.checked_rem(local.entered.len())?;
                    Some(local.entered.remove(place).0)
                });
                if let Some(span) = left {
                    self.model.leave(thread, span);
                }
            }
            Step::Record(number, field) => {
                let Some(span) = self.pick(number) else { return Ok(()) };
                let handle = self.handles[span][0].clone();
                worker.run(move |_| {
                    match field {
                        Field::A(value) => handle.record("a", value),
                        Field::B(value) => handle.record("b", value),
                        Field::Status(status) => handle.record("otel.status_code", status),
                        Field::Client => handle.record("otel.kind", "client"),
                    };
                });
                self.model.record(span, field);
            }
            Step::Event { fails, parent } => {
                let (parent, of) = self.parent(parent);
                let text = format!("event {now}");
                self.model.event(thread, text.clone(), fails, parent);
                worker.run(move |_| emit(&text, fails, of));
            }
            Step::Follow(number, other) => {
                let (Some(span), Some(other)) = (self.pick(number), self.pick(other)) else { return Ok(()) };
                let (handle, to) = (self.handles[span][0].clone(), self.handles[other][0].clone());
                worker.run(move |_| {
                    handle.follows_from(&to).follows_from(None);
                });
                let trace = self.model.nodes[other].trace;
                if self.model.nodes[span].sampled && !self.model.nodes[other].hidden {
                    self.model.nodes[span].links.push((trace, other));
                }
            }
            Step::SetRemote { span, sampled } => {
                let Some(span) = self.pick_seen(span) else { return Ok(()) };
                let (trace, id, context) = remote(now, sampled);
                let handle = self.handles[span][0].clone();
                worker.run(move |_| handle.set_parent(context));
                self.model.adopt(span, ModelParent::Remote(id), trace, sampled);
            }
            Step::SetLocal(span, other) => {
                let (Some(span), Some(other)) = (self.pick_seen(span), self.pick_seen(other)) else {
                    return Ok(());
                };
                if self.model.is_below(other, span) {
                    return Ok(());
                }
                let (handle, to) = (self.handles[span][0].clone(), self.handles[other][0].clone());
                worker.run(move |_| handle.set_parent(to.context()));
                let Node { trace, sampled, .. } = self.model.nodes[other];
                self.model.adopt(span, ModelParent::Span(other), trace, sampled);
            }
            Step::AttachRemote { sampled } => {
                let (trace, id, context) = remote(now, sampled);
                let key = self.model.attach(thread, Active::Remote(trace, id, sampled));
                self.model.threads[thread].attached.push(key);
                worker.run(move |local| local.attached.push((key, context.attach())));
            }
            Step::AttachSpan(number) => {
                let Some(span) = self.pick_seen(number) else { return Ok(()) };
                let Node { trace, sampled, .. } = self.model.nodes[span];
                let key = self.model.attach(thread, Active::Span(span, trace, sampled));
                self.model.threads[thread].attached.push(key);
                let handle = self.handles[span][0].clone();
                worker.run(move |local| local.attached.push((key, handle.context().attach())));
            }
            Step::Detach(number) => {
                let on = &mut self.model.threads[thread];
                let Some(place) = number.checked_rem(on.attached.len()) else { return Ok(()) };
                let key = on.attached.remove(place);
                on.active.retain(|(other, _)| *other != key);
                worker.run(move |local| local.attached.retain(|(other, _)| *other != key));
            }
            Step::Ask(number) => {
                let Some(span) = self.pick_seen(number) else { return Ok(()) };
                let handle = self.handles[span][0].clone();
                let (trace, context) = worker.run(move |_| (handle.trace_id(), handle.context()));
                let active = context.span().span_context().clone();
                let node = &self.model.nodes[span];
                prop_assert_eq!(trace, Some(node.trace), "s{}", span);
                prop_assert_eq!(active.trace_id(), node.trace, "s{}", span);
                prop_assert_eq!(active.is_sampled(), node.sampled, "s{}", span);
                prop_assert_eq!(
                    *self.ids[span].get_or_insert(active.span_id()),
                    active.span_id(),
                    "s{}",
                    span
                );
            }
            Step::AskCurrent => {
                let (current, handed_on) = worker.run(|_| (Context::current(), current_context()));
                let expected = self.model.threads[thread].active.last().map(|(_, active)| active.clone());
                let found = current.span().span_context().clone();
                match expected {
                    None => prop_assert!(!found.is_valid(), "{:?}", found),
                    Some(Active::Remote(trace, id, _)) => {
                        prop_assert_eq!((found.trace_id(), found.span_id()), (trace, id));
                    }
                    Some(Active::Entered(span) | Active::Span(span, ..)) => {
                        let id = *self.ids[span].get_or_insert(found.span_id());
                        prop_assert_eq!(id, found.span_id(), "s{}", span);
                    }
                }
                // Without activation, this finds the current span.
                if let (Some(span), None, false) =
                    (self.model.current(thread), self.model.foreign(thread), self.model.activation)
                    && !self.model.nodes[span].hidden
                {
                    let context = handed_on.span().span_context().clone();
                    prop_assert_eq!(context.trace_id(), self.model.nodes[span].trace);
                }
            }
        }
        Ok(())
    }

    /// Drops all handles and guards.
    fn end(&mut self) {
        self.model.step += 1;
        for thread in 0..THREADS {
            let left = self.workers[thread].run(|local| {
                local.attached.clear();
                let spans: Vec<_> = local.entered.iter().map(|(span, _)| *span).collect();
                local.entered.clear();
                spans
            });
            left.into_iter().for_each(|span| self.model.leave(thread, span));
        }
        for span in 0..self.handles.len() {
            let handles = std::mem::take(&mut self.handles[span]);
            for handle in handles {
                self.workers[0].run(move |_| drop(handle));
                self.model.release(span);
            }
        }
    }
}

fn check(world: &World, spans: &[SpanData]) -> Result<(), TestCaseError> {
    let nodes = &world.model.nodes;
    let mut of = vec![None; nodes.len()];
    for span in spans {
        let number: usize = span.name[1..].parse().unwrap();
        prop_assert!(of[number].replace(span).is_none(), "{} is exported once", span.name);
    }
    let id = |number: usize| of[number].map(|span| span.span_context.span_id()).or(world.ids[number]);
    for (number, node) in nodes.iter().enumerate() {
        let case = format!("s{number}: {node:?}");
        prop_assert!(!node.open, "{}", case);
        prop_assert_eq!(of[number].is_some(), node.sampled && !node.hidden, "{}", case);
        let Some(span) = of[number] else { continue };
        prop_assert_eq!(span.span_context.trace_id(), node.trace, "{}", case);
        prop_assert!(span.span_context.is_sampled() && !span.span_context.is_remote(), "{}", case);
        if let Some(known) = world.ids[number] {
            prop_assert_eq!(span.span_context.span_id(), known, "{}", case);
        }
        let (parent, remote) = match node.above {
            ModelParent::Nothing => (Some(SpanId::INVALID), false),
            ModelParent::Remote(id) => (Some(id), true),
            ModelParent::Local(above) | ModelParent::Span(above) => (id(above), false),
        };
        prop_assert_eq!(span.parent_span_is_remote, remote, "{}", case);
        if let Some(parent) = parent {
            prop_assert_eq!(span.parent_span_id, parent, "{}", case);
        }
        let attributes: BTreeMap<_, _> = span
            .attributes
            .iter()
            .map(|it| match it.value {
                opentelemetry::Value::I64(value) => (it.key.as_str(), value),
                ref other => panic!("{other:?}"),
            })
            .collect();
        prop_assert_eq!(&attributes, &node.attributes, "{}", case);
        prop_assert_eq!(
            span.attributes.len(),
            node.attributes.len(),
            "an attribute is exported twice; {}",
            case
        );
        let events: Vec<_> = span.events.iter().map(|event| event.name.as_ref()).collect();
        prop_assert_eq!(events, node.events.iter().map(String::as_str).collect::<Vec<_>>(), "{}", case);
        prop_assert_eq!(&span.span_kind, &node.kind, "{}", case);
        prop_assert_eq!(span.links.len(), node.links.len(), "{}", case);
        for (link, (trace, to)) in span.links.iter().zip(&node.links) {
            prop_assert_eq!(link.span_context.trace_id(), *trace, "{}", case);
            prop_assert!(id(*to).is_none_or(|id| id == link.span_context.span_id()), "{}", case);
        }
        match (&span.status, node.verdict) {
            (Status::Unset, Verdict::None) | (Status::Ok, Verdict::Ok) => {}
            (Status::Error { description }, Verdict::Failed | Verdict::Error) => {
                prop_assert!(node.gaps || **description == *node.description, "{:?}: {}", span.status, case);
            }
            _ => prop_assert!(false, "{:?}: {}", span.status, case),
        }
        prop_assert!(span.start_time <= span.end_time, "{}", case);
        let times: Vec<_> = span.events.iter().map(|event| event.timestamp).collect();
        prop_assert!(times.is_sorted(), "{}", case);
        prop_assert!(times.iter().all(|at| (span.start_time..=span.end_time).contains(at)), "{}", case);
        in_order(number, &of, nodes, &case)?;
    }
    Ok(())
}

/// Checks that start and end times are in the order in which the spans were made and closed.
fn in_order(
    number: usize,
    of: &[Option<&SpanData>],
    nodes: &[Node],
    case: &str,
) -> Result<(), TestCaseError> {
    let root = |mut span: usize| {
        while let ModelParent::Local(above) = nodes[span].above {
            span = above;
        }
        span
    };
    for other in 0..nodes.len() {
        // A span that was unsampled at first has its own clock.
        let (Some(one), Some(two)) = (of[number], of[other]) else { continue };
        let chain = root(number) == root(other);
        if !chain || nodes[number].gaps || nodes[other].gaps || nodes[root(number)].gaps {
            continue;
        }
        if nodes[number].made < nodes[other].made {
            prop_assert!(one.start_time <= two.start_time, "{} starts before s{}", case, other);
        }
        if nodes[number].closed < nodes[other].made {
            prop_assert!(one.end_time <= two.start_time, "{} ends before s{} starts", case, other);
        }
        if nodes[number].closed < nodes[other].closed {
            prop_assert!(one.end_time <= two.end_time, "{} ends before s{}", case, other);
        }
    }
    Ok(())
}

fn run(activation: bool, filtered: bool, steps: Vec<(usize, Step)>) -> Result<(), TestCaseError> {
    let pipeline = Pipeline::with(|builder| {
        builder.configure(|settings| {
            settings.activation = activation;
            settings.code_attributes = false;
        })
    });
    let layer = pipeline.telemetry.span_layer();
    let dispatch = if filtered {
        Dispatch::new(
            tracing_subscriber::registry().with(Unfiltered).with(layer.with_filter(LevelFilter::INFO)),
        )
    } else {
        pipeline.dispatch()
    };
    let mut world = World {
        model: Model::new(activation),
        workers: (0..THREADS).map(|_| Worker::start(dispatch.clone())).collect(),
        handles: Vec::new(),
        ids: Vec::new(),
    };
    for (thread, step) in steps {
        let step = match step {
            Step::New { parent, .. } if !filtered => Step::New { hidden: false, parent },
            step => step,
        };
        world.take(thread, step)?;
    }
    world.end();
    check(&world, &pipeline.spans())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn p31_random_programs_are_exported_as_modelled(steps in steps()) {
        run(true, false, steps)?;
    }

    #[test]
    fn p31_random_programs_are_exported_as_modelled_without_activation(steps in steps()) {
        run(false, false, steps)?;
    }

    #[test]
    fn p31_random_programs_are_exported_as_modelled_behind_a_filter(
        activation in any::<bool>(),
        steps in steps(),
    ) {
        run(activation, true, steps)?;
    }
}

// ===== tasks =====

/// How a span becomes the child of another.
#[derive(Clone, Copy, Debug)]
enum Relation {
    /// The child is awaited inside the parent.
    Awaited,
    /// The child is made inside the parent, and instruments a spawned task.
    Spawned,
    /// A thread enters the parent and makes the child.
    Thread,
    /// A task outside of spans makes the child with an explicit parent.
    Explicit,
}

/// For each span except the first: the index of its parent, the relation to it, and how often it yields.
fn plans() -> impl Strategy<Value = Vec<(usize, Relation, usize)>> {
    let way = prop_oneof![
        Just(Relation::Awaited),
        Just(Relation::Spawned),
        Just(Relation::Thread),
        Just(Relation::Explicit)
    ];
    prop::collection::vec((0..100_usize, way, 0..4_usize), 0..25)
}

type Plan = std::sync::Arc<Vec<(usize, Relation, usize)>>;

/// The children of the span `above` in `plan`.
fn below(plan: &Plan, above: usize) -> impl Iterator<Item = (usize, Relation)> {
    let plan = std::sync::Arc::clone(plan);
    (0..plan.len()).filter_map(move |at| (plan[at].0 % (at + 1) == above).then_some((at + 1, plan[at].1)))
}

fn grow(plan: Plan, number: usize) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let yields = number.checked_sub(1).map_or(1, |place| plan[place].2);
        let mut tasks = Vec::new();
        for (child, way) in below(&plan, number) {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            tracing::info!(child, "going on");
            let id = |context: Context| context.span().span_context().span_id();
            assert_eq!(id(Span::current().context()), id(current_context()));
            let plan = std::sync::Arc::clone(&plan);
            match way {
                Relation::Awaited => {
                    grow(plan, child).instrument(tracing::info_span!("n", key = child)).await
                }
                Relation::Spawned => {
                    tasks.push(tokio::spawn(
                        grow(plan, child).instrument(tracing::info_span!("n", key = child)),
                    ));
                }
                Relation::Thread => {
                    let (above, runtime) = (Span::current(), tokio::runtime::Handle::current());
                    tasks.push(tokio::task::spawn_blocking(move || {
                        let span = above.in_scope(|| tracing::info_span!("n", key = child));
                        drop(above);
                        runtime.block_on(grow(plan, child).instrument(span));
                    }));
                }
                Relation::Explicit => {
                    let above = Span::current();
                    tasks.push(tokio::spawn(async move {
                        let span = tracing::info_span!(parent: &above, "n", key = child);
                        grow(plan, child).instrument(span).await;
                    }));
                }
            }
        }
        for task in tasks {
            task.await.unwrap();
        }
    })
}

fn run_tasks(
    plan: Vec<(usize, Relation, usize)>,
    activation: bool,
    adopted: bool,
) -> Result<(), TestCaseError> {
    let pipeline = Pipeline::with(|builder| {
        builder.configure(|settings| {
            settings.activation = activation;
            settings.code_attributes = false;
        })
    });
    let dispatch = pipeline.dispatch();
    let runtime = runtime(&dispatch);
    let plan = Plan::new(plan);
    let all = Plan::clone(&plan);
    let (trace, id, context) = remote(1, true);
    runtime.block_on(async {
        tokio::spawn(async move {
            let root = tracing::info_span!("n", key = 0);
            let work = grow(all, 0).instrument(root.clone());
            if adopted {
                // The parent is set while other spans are made.
                let set = tokio::spawn(async move { root.set_parent(context) });
                work.await;
                set.await.unwrap();
            } else {
                drop(root);
                work.await;
            }
        })
        .await
        .unwrap();
    });
    drop(runtime);
    let spans = pipeline.spans();
    let key = |span: &SpanData| match span.attributes[..] {
        [opentelemetry::KeyValue { value: opentelemetry::Value::I64(key), .. }] => key as usize,
        ref other => panic!("{other:?}"),
    };
    let by_key: BTreeMap<usize, &SpanData> = spans.iter().map(|span| (key(span), span)).collect();
    prop_assert_eq!((spans.len(), by_key.len()), (plan.len() + 1, plan.len() + 1));
    for (number, span) in &by_key {
        prop_assert_eq!(span.events.len(), below(&plan, *number).count());
        let Some(place) = number.checked_sub(1) else {
            let expected =
                if adopted { (trace, id) } else { (span.span_context.trace_id(), SpanId::INVALID) };
            prop_assert_eq!((span.span_context.trace_id(), span.parent_span_id), expected);
            continue;
        };
        let above = by_key[&(plan[place].0 % (place + 1))];
        prop_assert_eq!(span.parent_span_id, above.span_context.span_id());
        prop_assert!(above.start_time <= span.start_time && span.end_time <= above.end_time);
        // A span that closed before the root moved to another trace stays in the old trace.
        if !adopted {
            prop_assert_eq!(span.span_context.trace_id(), above.span_context.trace_id());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn p31_random_trees_of_tasks_are_exported_as_planned(
        plan in plans(),
        activation in prop::bool::ANY,
        adopted in prop::bool::weighted(0.3),
    ) {
        run_tasks(plan, activation, adopted)?;
    }
}

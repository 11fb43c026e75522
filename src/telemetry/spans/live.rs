//! An open span.

use std::borrow::Cow;
use std::cell::RefCell;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};
use tracing::Metadata;

use super::anchor::Anchor;
use super::layers::Key;
use super::recording::Recording;
use crate::base::clock::{self, Tick};
use crate::telemetry::fields::SpanFields;
use crate::telemetry::red::SeriesId;
use crate::telemetry::status::SpanStatus;

/// An open span.
#[derive(Debug)]
pub(in crate::telemetry) struct Live {
    pub(in crate::telemetry) key: Key,
    pub(in crate::telemetry) metadata: &'static Metadata<'static>,
    pub(in crate::telemetry) context: SpanContext,
    pub(in crate::telemetry) parent_span_id: SpanId,
    pub(in crate::telemetry) parent_is_remote: bool,
    /// The registry's id of the parent, if it is a span of the same layer, otherwise 0.
    pub(in crate::telemetry) local_parent: u64,
    pub(in crate::telemetry) has_children: bool,
    pub(in crate::telemetry) start: Tick,
    pub(in crate::telemetry) anchor: Option<Anchor>,
    pub(in crate::telemetry) series: SeriesId,
    pub(in crate::telemetry) verdict: SpanStatus,
    /// The type of its error, once it has failed and the type is known.
    pub(in crate::telemetry) error_type: Option<Cow<'static, str>>,
    pub(in crate::telemetry) otel: Otel,
    /// Present if it is sampled, or may be kept by tail sampling.
    pub(in crate::telemetry) recording: Option<Recording>,
}

/// The OpenTelemetry context of a span.
#[derive(Debug)]
pub(in crate::telemetry) enum Otel {
    /// There is none.
    Off,
    /// The context in which the span was created, from which its own is made.
    Base(Context),
    /// The context with this span.
    Own(Context),
}

impl Otel {
    pub(in crate::telemetry) fn any(&self) -> Option<&Context> {
        match self {
            Self::Off => None,
            Self::Base(context) | Self::Own(context) => Some(context),
        }
    }
}

thread_local! {
    #[allow(clippy::vec_box)] // The boxes are what it is for.
    /// Boxes of closed spans, for reuse by this thread. With them, an unsampled span allocates nothing.
    static SPARE: RefCell<Vec<Box<Live>>> = const { RefCell::new(Vec::new()) };
}

/// More than a thread usually has open at once.
const MOST_SPARE: usize = 32;

impl Live {
    /// A span without a parent that starts at `start`.
    #[inline]
    pub(in crate::telemetry) fn new(
        key: Key,
        metadata: &'static Metadata<'static>,
        context: SpanContext,
        start: Tick,
        series: SeriesId,
    ) -> Box<Self> {
        if let Ok(Some(mut spare)) = SPARE.try_with(|spare| spare.borrow_mut().pop()) {
            // Field by field, in place, since moving the whole struct costs more.
            let live = &mut *spare;
            live.key = key;
            live.metadata = metadata;
            live.context = context;
            live.parent_span_id = SpanId::INVALID;
            live.parent_is_remote = false;
            live.local_parent = 0;
            live.has_children = false;
            live.start = start;
            live.anchor = None;
            live.series = series;
            live.verdict = SpanStatus::None;
            return spare;
        }
        Box::new(Self {
            key,
            metadata,
            context,
            parent_span_id: SpanId::INVALID,
            parent_is_remote: false,
            local_parent: 0,
            has_children: false,
            start,
            anchor: None,
            series,
            verdict: SpanStatus::None,
            error_type: None,
            otel: Otel::Off,
            recording: None,
        })
    }

    /// Ends the span outside of locks, since dropping its context may run user code.
    #[inline]
    pub(in crate::telemetry) fn discard(mut self: Box<Self>) {
        self.otel = Otel::Off;
        self.error_type = None;
        self.recording = None;
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < MOST_SPARE {
                spare.push(self);
            }
        });
    }

    /// Takes the status from fields. With `described`, a description of a failure means that there is one.
    pub(in crate::telemetry) fn take_status(&mut self, fields: &SpanFields<'_>, described: bool) {
        self.verdict = fields.status.unwrap_or(self.verdict);
        if described && fields.description.is_some() && fields.status.is_none() {
            self.verdict.fail();
        }
        if let Some(kind) = &fields.error_type {
            self.error_type = Some(Cow::Owned(kind.clone()));
            // The name of an error means that there is one.
            self.verdict.fail();
        }
    }

    /// Sets an error inside the span, and its type if it is the first; `false` if the status was set explicitly.
    pub(in crate::telemetry) fn fail(&mut self, kind: Option<Cow<'static, str>>) -> bool {
        let open = self.verdict.fail();
        if open && self.error_type.is_none() {
            self.error_type = kind;
        }
        open
    }

    /// Moves it under `parent`; returns the old context, to be dropped outside of locks.
    pub(super) fn adopt(&mut self, parent: &SpanContext, sampled: bool, base: &Context, keep: bool) -> Otel {
        self.parent_span_id = parent.span_id();
        self.parent_is_remote = parent.is_remote();
        self.local_parent = 0;
        self.context = renamed(&self.context, parent, parent.trace_flags().with_sampled(sampled));
        self.follow_sampling(keep);
        let otel = if matches!(self.otel, Otel::Off) { Otel::Off } else { Otel::Base(base.clone()) };
        std::mem::replace(&mut self.otel, otel)
    }

    /// Joins the trace of `context`.
    pub(super) fn follow(&mut self, context: &SpanContext, keep: bool) {
        if self.context.trace_id() == context.trace_id() && self.context.is_sampled() == context.is_sampled()
        {
            return;
        }
        self.context = renamed(&self.context, context, context.trace_flags());
        if let Otel::Own(context) = &mut self.otel {
            // Without the ids, with the baggage.
            self.otel = Otel::Base(std::mem::take(context));
        }
        self.follow_sampling(keep);
    }

    /// Starts or stops the recording after a late parent has changed the sampling. With `keep` it always continues.
    fn follow_sampling(&mut self, keep: bool) {
        match (self.context.is_sampled() || keep, self.recording.is_some()) {
            (true, false) => {
                let anchor = Anchor::or_new(self.anchor, clock::now());
                self.anchor = Some(anchor);
                self.recording = Some(Recording::new(self.metadata, self.start, anchor.wall(self.start)));
            }
            (false, true) => self.recording = None,
            _ => {}
        }
    }
}

/// The span `own`, moved to the trace of `other`.
fn renamed(own: &SpanContext, other: &SpanContext, flags: TraceFlags) -> SpanContext {
    SpanContext::new(other.trace_id(), own.span_id(), flags, false, other.trace_state().clone())
}

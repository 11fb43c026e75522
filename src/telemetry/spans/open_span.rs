//! An open span.

use std::borrow::Cow;
use std::cell::RefCell;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};
use tracing::Metadata;

use super::clock_pair::ClockPair;
use super::layers::SpanKey;
use super::recording::Recording;
use crate::base::clock::{self, Tick};
use crate::telemetry::fields::SpanFields;
use crate::telemetry::red::SeriesId;
use crate::telemetry::status::SpanStatus;

/// An open span.
#[derive(Debug)]
pub(in crate::telemetry) struct OpenSpan {
    pub(in crate::telemetry) key: SpanKey,
    pub(in crate::telemetry) metadata: &'static Metadata<'static>,
    pub(in crate::telemetry) context: SpanContext,
    pub(in crate::telemetry) parent_span_id: SpanId,
    pub(in crate::telemetry) parent_is_remote: bool,
    /// The registry's id of the parent, if it is a span of the same layer, otherwise 0.
    pub(in crate::telemetry) local_parent: u64,
    pub(in crate::telemetry) has_children: bool,
    pub(in crate::telemetry) start: Tick,
    pub(in crate::telemetry) clocks: Option<ClockPair>,
    pub(in crate::telemetry) series: SeriesId,
    pub(in crate::telemetry) status: SpanStatus,
    /// The type of its error, once it has failed and the type is known.
    pub(in crate::telemetry) error_type: Option<Cow<'static, str>>,
    pub(in crate::telemetry) otel: ContextState,
    /// Present if it is sampled, or may be kept by tail sampling.
    pub(in crate::telemetry) recording: Option<Recording>,
}

/// The OpenTelemetry context of a span.
#[derive(Debug)]
pub(in crate::telemetry) enum ContextState {
    /// Contexts are off: see `TelemetrySettings::activation`.
    Off,
    /// The context in which the span was created, from which its own is made.
    Base(Context),
    /// The context with this span.
    Own(Context),
}

impl ContextState {
    pub(in crate::telemetry) fn any(&self) -> Option<&Context> {
        match self {
            Self::Off => None,
            Self::Base(context) | Self::Own(context) => Some(context),
        }
    }
}

thread_local! {
    #[allow(clippy::vec_box)] // The boxes are reused.
    /// Boxes of closed spans, for reuse by this thread. With them, an unsampled span allocates nothing.
    static RECYCLED: RefCell<Vec<Box<OpenSpan>>> = const { RefCell::new(Vec::new()) };
}

/// More than a thread usually has open at once.
const MOST_RECYCLED: usize = 32;

impl OpenSpan {
    /// A new span without a parent.
    #[inline]
    pub(in crate::telemetry) fn new(
        key: SpanKey,
        metadata: &'static Metadata<'static>,
        context: SpanContext,
        start: Tick,
        series: SeriesId,
    ) -> Box<Self> {
        if let Ok(Some(mut recycled)) = RECYCLED.try_with(|recycled| recycled.borrow_mut().pop()) {
            // Field by field, in place, since moving the whole struct costs more.
            let open_span = &mut *recycled;
            open_span.key = key;
            open_span.metadata = metadata;
            open_span.context = context;
            open_span.parent_span_id = SpanId::INVALID;
            open_span.parent_is_remote = false;
            open_span.local_parent = 0;
            open_span.has_children = false;
            open_span.start = start;
            open_span.clocks = None;
            open_span.series = series;
            open_span.status = SpanStatus::None;
            return recycled;
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
            clocks: None,
            series,
            status: SpanStatus::None,
            error_type: None,
            otel: ContextState::Off,
            recording: None,
        })
    }

    /// Ends the span outside of locks, since dropping its context may run user code.
    #[inline]
    pub(in crate::telemetry) fn discard(mut self: Box<Self>) {
        self.otel = ContextState::Off;
        self.error_type = None;
        self.recording = None;
        let _ = RECYCLED.try_with(|recycled| {
            let mut recycled = recycled.borrow_mut();
            if recycled.len() < MOST_RECYCLED {
                recycled.push(self);
            }
        });
    }

    /// Takes the status from fields. With `described`, a description without a status fails the span.
    pub(in crate::telemetry) fn take_status(&mut self, fields: &SpanFields<'_>, described: bool) {
        self.status = fields.status.unwrap_or(self.status);
        if described && fields.description.is_some() && fields.status.is_none() {
            self.status.fail();
        }
        if let Some(kind) = &fields.error_type {
            self.error_type = Some(Cow::Owned(kind.clone()));
            // A span with an error type has failed.
            self.status.fail();
        }
    }

    /// Records an error inside the span, and its type if it is the first. Returns `false` if the status is `Ok`.
    pub(in crate::telemetry) fn fail(&mut self, kind: Option<Cow<'static, str>>) -> bool {
        let open = self.status.fail();
        if open && self.error_type.is_none() {
            self.error_type = kind;
        }
        open
    }

    /// Sets the parent. Returns the old context, which must be dropped outside of locks.
    pub(super) fn set_parent(
        &mut self,
        parent: &SpanContext,
        sampled: bool,
        base: &Context,
        record_unsampled: bool,
    ) -> ContextState {
        self.parent_span_id = parent.span_id();
        self.parent_is_remote = parent.is_remote();
        self.local_parent = 0;
        self.context = moved(&self.context, parent, parent.trace_flags().with_sampled(sampled));
        self.follow_sampling(record_unsampled);
        let otel = if matches!(self.otel, ContextState::Off) {
            ContextState::Off
        } else {
            ContextState::Base(base.clone())
        };
        std::mem::replace(&mut self.otel, otel)
    }

    /// Joins the trace of `context`.
    pub(super) fn join(&mut self, context: &SpanContext, record_unsampled: bool) {
        if self.context.trace_id() == context.trace_id() && self.context.is_sampled() == context.is_sampled()
        {
            return;
        }
        self.context = moved(&self.context, context, context.trace_flags());
        if let ContextState::Own(context) = &mut self.otel {
            // Keeps the baggage. The ids are set when the own context is made again.
            self.otel = ContextState::Base(std::mem::take(context));
        }
        self.follow_sampling(record_unsampled);
    }

    /// Starts or stops the recording after a late parent has changed the sampling. With `record_unsampled` it always continues.
    fn follow_sampling(&mut self, record_unsampled: bool) {
        match (self.context.is_sampled() || record_unsampled, self.recording.is_some()) {
            (true, false) => {
                let clocks = ClockPair::or_new(self.clocks, clock::now());
                self.clocks = Some(clocks);
                self.recording = Some(Recording::new(self.metadata, self.start, clocks.wall(self.start)));
            }
            (false, true) => self.recording = None,
            _ => {}
        }
    }
}

/// The span `own`, moved to the trace of `other`.
fn moved(own: &SpanContext, other: &SpanContext, flags: TraceFlags) -> SpanContext {
    SpanContext::new(other.trace_id(), own.span_id(), flags, false, other.trace_state().clone())
}

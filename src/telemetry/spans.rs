//! The spans that are alive.
//!
//! They are kept here and not in the registry's extensions: those allocate for every value and are behind a
//! lock for each span, this is a table that grows once. It is split into shards by span, so that threads
//! rarely meet. No lock is held while anything outside this module runs.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::SystemTime;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};
use tracing::Metadata;

use super::recording::Recording;
use super::red::SeriesId;
use crate::clock::Tick;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// A span that is alive.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) metadata: &'static Metadata<'static>,
    pub(super) context: SpanContext,
    pub(super) parent: Parent,
    /// The registry's id of the parent, when that is a span of this table; else 0.
    pub(super) local_parent: u64,
    pub(super) has_children: bool,
    pub(super) start: Tick,
    pub(super) anchor: Option<Anchor>,
    pub(super) series: SeriesId,
    pub(super) verdict: Verdict,
    pub(super) otel: Otel,
    /// Only when it is sampled.
    pub(super) recording: Option<Box<Recording>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Parent {
    pub(super) span_id: SpanId,
    pub(super) remote: bool,
}

impl Parent {
    pub(super) const NONE: Self = Self { span_id: SpanId::INVALID, remote: false };
}

/// How a span went, so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    None,
    /// An error happened inside it.
    Failed,
    /// `otel.status_code` says that it went well, whatever happened inside it.
    Ok,
    /// `otel.status_code` says that it failed.
    Error,
}

impl Verdict {
    pub(super) fn failed(self) -> bool {
        matches!(self, Self::Failed | Self::Error)
    }

    /// Notes an error inside the span; `false` when its word is given already.
    pub(super) fn fail(&mut self) -> bool {
        let open = *self != Self::Ok;
        if *self == Self::None {
            *self = Self::Failed;
        }
        open
    }
}

/// A moment on both clocks.
///
/// The spans of a trace share one, so that their times fit each other to the nanosecond.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor {
    tick: Tick,
    wall: SystemTime,
}

impl Anchor {
    /// After this the clocks may have come apart: the machine slept, or someone set the time.
    const GOOD_FOR: std::time::Duration = std::time::Duration::from_secs(3_600);

    pub(super) fn new(tick: Tick) -> Self {
        Self { tick, wall: SystemTime::now() }
    }

    /// This, if it is good enough at `now`, else a new one.
    pub(super) fn or_new(anchor: Option<Self>, now: Tick) -> Self {
        match anchor {
            Some(anchor) if now.since(anchor.tick) < Self::GOOD_FOR => anchor,
            _ => Self::new(now),
        }
    }

    pub(super) fn wall(&self, at: Tick) -> SystemTime {
        if at >= self.tick {
            self.wall + at.since(self.tick)
        } else {
            self.wall.checked_sub(self.tick.since(at)).unwrap_or(self.wall)
        }
    }
}

/// The OpenTelemetry context of a span.
#[derive(Debug)]
pub(super) enum Otel {
    /// Nobody needs one.
    Off,
    /// What to make it from: the context that the span was created in, with its baggage.
    Base(Context),
    /// The context with this span in it.
    Own(Context),
}

impl Otel {
    pub(super) fn any(&self) -> Option<&Context> {
        match self {
            Self::Off => None,
            Self::Base(context) | Self::Own(context) => Some(context),
        }
    }

    /// Forgets the ids, keeps the baggage.
    fn rebase(&mut self) {
        if let Self::Own(context) = self {
            *self = Self::Base(std::mem::take(context));
        }
    }
}

const SHARDS: usize = 64;

/// The spans that are alive. See the [module](self).
#[derive(Debug)]
pub(super) struct Spans {
    shards: Box<[Shard]>,
    /// Odd while somebody gives a span another parent.
    generation: AtomicU64,
    adoption: Mutex<()>,
}

/// On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    spans: HashMap<u64, Live, BuildHasherDefault<Mix>>,
    started: u64,
    sampled: u64,
}

/// One multiplication: ids are small numbers that nobody outside chooses.
#[derive(Default)]
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 ^= self.0 >> 32;
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What a child takes from its parent.
#[derive(Clone, Debug)]
pub(super) struct Inherited {
    pub(super) context: SpanContext,
    pub(super) anchor: Option<Anchor>,
}

impl Default for Spans {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            generation: AtomicU64::new(0),
            adoption: Mutex::new(()),
        }
    }
}

impl Spans {
    fn shard(&self, id: u64) -> MutexGuard<'_, Table> {
        let place = id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58;
        self.shards[place as usize].0.lock()
    }

    /// Reads or changes a span. `action` must do nothing else.
    pub(super) fn with<R>(&self, id: u64, action: impl FnOnce(&mut Live) -> R) -> Option<R> {
        self.shard(id).spans.get_mut(&id).map(action)
    }

    pub(super) fn remove(&self, id: u64) -> Option<Live> {
        let mut shard = self.shard(id);
        let live = shard.spans.remove(&id)?;
        shard.sampled += u64::from(live.recording.is_some());
        Some(live)
    }

    /// What a child of the span `id` takes from it.
    pub(super) fn inherit(&self, id: u64) -> Option<Inherited> {
        self.with(id, |parent| {
            parent.has_children = true;
            Inherited { context: parent.context.clone(), anchor: parent.anchor }
        })
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Takes in a new span. `generation` was read before its parent was.
    pub(super) fn insert(&self, id: u64, live: Live, generation: u64) {
        let local_parent = live.local_parent;
        {
            let mut shard = self.shard(id);
            shard.started += 1;
            shard.spans.insert(id, live);
        }
        if local_parent != 0 && (generation % 2 == 1 || self.generation() != generation) {
            // An ancestor got another parent meanwhile, and may not have found this span in the table.
            let _after_it = self.adoption.lock();
            if let Some(parent) = self.inherit(local_parent) {
                self.with(id, |live| live.follow(&parent.context));
            }
        }
    }

    /// Puts the span `id` under `parent`, and with it everything below it that is alive.
    pub(super) fn adopt(&self, id: u64, parent: &SpanContext, sampled: bool, base: &Context) {
        let _one_at_a_time = self.adoption.lock();
        self.generation.fetch_add(1, Ordering::AcqRel);
        let changed = self.with(id, |live| {
            live.parent = Parent { span_id: parent.span_id(), remote: parent.is_remote() };
            live.local_parent = 0;
            let flags = parent.trace_flags().with_sampled(sampled);
            live.context = renamed(&live.context, parent, flags);
            let otel = if matches!(live.otel, Otel::Off) { Otel::Off } else { Otel::Base(base.clone()) };
            live.follow_sampling();
            // The old one goes out of the lock: a value in it may do anything when it is dropped.
            let old = std::mem::replace(&mut live.otel, otel);
            (live.has_children.then(|| live.context.clone()), old)
        });
        if let Some((Some(context), _)) = changed {
            self.descendants(id).into_iter().for_each(|id| {
                self.with(id, |live| live.follow(&context));
            });
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Every span below `id`. Looks at all that are alive: a late parent of a span with children is rare.
    fn descendants(&self, id: u64) -> Vec<u64> {
        let mut children: HashMap<u64, Vec<u64>> = HashMap::new();
        for shard in &self.shards {
            for (child, live) in &shard.0.lock().spans {
                children.entry(live.local_parent).or_default().push(*child);
            }
        }
        let mut found = children.remove(&id).unwrap_or_default();
        let mut next = 0;
        while let Some(id) = found.get(next) {
            next += 1;
            found.extend(children.remove(id).into_iter().flatten());
        }
        found
    }

    /// How many spans were started, and how many closed that were sampled.
    pub(super) fn totals(&self) -> (u64, u64) {
        self.shards.iter().fold((0, 0), |(started, sampled), shard| {
            let shard = shard.0.lock();
            (started + shard.started, sampled + shard.sampled)
        })
    }
}

impl Live {
    /// Takes the trace of `context` over.
    fn follow(&mut self, context: &SpanContext) {
        if self.context.trace_id() == context.trace_id() {
            return;
        }
        self.context = renamed(&self.context, context, context.trace_flags());
        self.otel.rebase();
        self.follow_sampling();
    }
}

/// The span `own` in the trace of `other`.
fn renamed(own: &SpanContext, other: &SpanContext, flags: TraceFlags) -> SpanContext {
    SpanContext::new(other.trace_id(), own.span_id(), flags, false, other.trace_state().clone())
}

//! Keeping what matters, after all.
//!
//! Whether a trace is worth keeping shows when it ends, and the head has decided long before. So what the head would
//! drop waits in this buffer until its local root closes. Once a span of it failed, or if the root was slow, all of it
//! goes to the exporters; else it is gone. Other processes of the same trace know nothing of it.

use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::mem;
use std::time::Duration;

use opentelemetry::trace::{SpanContext, TraceFlags, TraceId};
use opentelemetry_sdk::trace::SpanData;
use serde::{Deserialize, Serialize};

use crate::error::ConfigError;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::telemetry::size;

/// Which traces are kept although [`Sampling`](super::Sampling) would drop them.
///
/// The spans of this process wait in memory until one of them fails or the outermost closes. Then all of them go, or
/// none. Each span costs what a sampled one costs, up to the exporter.
///
/// # Example
/// ```
/// use std::time::Duration;
///
/// use campanile::telemetry::{Sampling, TailSampling, Telemetry};
///
/// // One trace in a hundred, every error, and whatever takes longer than two seconds.
/// let telemetry = Telemetry::builder("checkout")
///     .sampling(Sampling::parent_based(Sampling::Ratio(0.01)))
///     .tail_sampling(TailSampling::new().slower_than(Duration::from_secs(2)))
///     .build()?;
/// # Ok::<(), campanile::telemetry::TelemetryError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TailSampling {
    /// Whether a trace is kept in which a span failed. It is.
    pub errors: bool,
    /// The outermost span is kept, with all below it, when it took longer than this.
    #[serde(with = "crate::duration::option")]
    pub slower_than: Option<Duration>,
    /// Spans that wait at most, over all traces. 16,384.
    ///
    /// The buffer has eight parts, and a trace is in one of them. When a part is full, by spans or by bytes, it gives up
    /// the trace that has a quarter of it or more, else the oldest. Traces that are given up are counted. Spans of a
    /// trace that matters do not wait.
    pub spans: usize,
    /// Bytes that waiting spans take at most, as estimated by their texts. 32 MiB.
    pub bytes: usize,
}

impl Default for TailSampling {
    fn default() -> Self {
        Self { errors: true, slower_than: None, spans: 16_384, bytes: 32 * 1024 * 1024 }
    }
}

impl TailSampling {
    /// Keeps the traces in which a span failed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps those too whose outermost span took longer than this.
    #[must_use]
    pub fn slower_than(mut self, duration: Duration) -> Self {
        self.slower_than = Some(duration);
        self
    }

    /// Whether a trace is kept in which a span failed.
    #[must_use]
    pub fn errors(mut self, errors: bool) -> Self {
        self.errors = errors;
        self
    }

    /// How many spans may wait.
    #[must_use]
    pub fn spans(mut self, spans: usize) -> Self {
        self.spans = spans;
        self
    }

    /// How many bytes they may take.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    pub(in crate::telemetry) fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check(self.spans >= SHARDS, "tail_sampling.spans", self.spans, "at least 8")?;
        ConfigError::check(self.bytes >= SHARDS, "tail_sampling.bytes", self.bytes, "at least 8")
    }
}

const SHARDS: usize = 8;
/// Traces that were kept lately, in each shard: what of them closes after its root goes too.
const REMEMBERED: usize = 128;

/// The traces that may turn out to matter.
#[derive(Debug)]
pub(in crate::telemetry) struct Tail {
    settings: TailSampling,
    shards: [Mutex<Shard>; SHARDS],
    kept: AtomicU64,
    evicted: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    traces: HashMap<TraceId, Waiting>,
    /// In the order in which they began; some may have ended.
    order: VecDeque<TraceId>,
    /// Spans of all of them, and their bytes.
    spans: usize,
    bytes: usize,
    /// The one with the largest share of the room, and that share in 1,024ths. After that one is gone, the largest of
    /// those that grew since.
    largest: Option<(TraceId, usize)>,
    kept: VecDeque<TraceId>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Spans without a parent in this process that have not closed.
    roots: usize,
    /// Its spans are exported as they close.
    matters: bool,
    spans: Vec<SpanData>,
    bytes: usize,
}

/// What fits into a shard.
#[derive(Clone, Copy, Debug)]
struct Room {
    spans: usize,
    bytes: usize,
}

impl Room {
    /// The share that `waiting` has of it, in 1,024ths.
    fn share(self, waiting: &Waiting) -> usize {
        let of = |some: usize, all: usize| some.saturating_mul(1_024) / all.max(1);
        of(waiting.spans.len(), self.spans).max(of(waiting.bytes, self.bytes))
    }
}

impl Tail {
    pub(in crate::telemetry) fn new(settings: TailSampling) -> Self {
        Self { settings, shards: Default::default(), kept: AtomicU64::new(0), evicted: AtomicU64::new(0) }
    }

    fn shard(&self, trace_id: TraceId) -> &Mutex<Shard> {
        let mut hasher = std::hash::DefaultHasher::new();
        trace_id.hash(&mut hasher);
        &self.shards[hasher.finish() as usize % SHARDS]
    }

    /// A span without a parent in this process begins.
    pub(in crate::telemetry) fn begin(&self, trace_id: TraceId) {
        let mut shard = self.shard(trace_id).lock();
        let shard = &mut *shard;
        if shard.kept.contains(&trace_id) {
            return;
        }
        let waiting = shard.traces.entry(trace_id).or_insert_with(|| {
            shard.order.push_back(trace_id);
            Waiting::default()
        });
        waiting.roots += 1;
    }

    /// A span closed that the head has not sampled; gives those that are to be exported now.
    pub(in crate::telemetry) fn end(&self, span: SpanData, root: bool, failed: bool) -> Vec<SpanData> {
        let trace_id = span.span_context.trace_id();
        let took = || span.end_time.duration_since(span.start_time).unwrap_or_default();
        let matters = (failed && self.settings.errors)
            || (root && self.settings.slower_than.is_some_and(|limit| took() > limit));
        // Dropped where no lock is held.
        let mut gone = Vec::new();
        let room = Room { spans: self.settings.spans / SHARDS, bytes: self.settings.bytes / SHARDS };
        let mut shard = self.shard(trace_id).lock();
        let kept = shard.end(trace_id, span, root, matters, room, &mut gone);
        let evicted = if kept.is_empty() { shard.evict(room, &mut gone) } else { 0 };
        drop(shard);
        self.evicted.fetch_add(evicted, Ordering::Relaxed);
        let kept = kept.into_iter().map(sampled).collect::<Vec<_>>();
        self.kept.fetch_add(kept.len() as u64, Ordering::Relaxed);
        kept
    }

    /// A root got another parent: it counts for another trace, or for none when that is sampled.
    pub(in crate::telemetry) fn moved(&self, from: TraceId, to: Option<TraceId>) {
        let gone = {
            let mut shard = self.shard(from).lock();
            let left = shard.traces.get_mut(&from).map(|waiting| {
                waiting.roots = waiting.roots.saturating_sub(1);
                waiting.roots
            });
            if left == Some(0) { shard.forget(from) } else { None }
        };
        drop(gone);
        if let Some(to) = to {
            self.begin(to);
        }
    }

    /// Spans that were kept, and traces that were given up for want of room.
    pub(in crate::telemetry) fn totals(&self) -> (u64, u64) {
        (self.kept.load(Ordering::Relaxed), self.evicted.load(Ordering::Relaxed))
    }
}

impl Shard {
    fn end(
        &mut self,
        trace_id: TraceId,
        span: SpanData,
        root: bool,
        matters: bool,
        room: Room,
        gone: &mut Vec<SpanData>,
    ) -> Vec<SpanData> {
        let Some(waiting) = self.traces.get_mut(&trace_id) else {
            // Its root has closed before, or it was given up.
            return if matters || self.kept.contains(&trace_id) { vec![span] } else { Vec::new() };
        };
        waiting.matters |= matters;
        waiting.roots -= usize::from(root && waiting.roots > 0);
        let (ended, matters) = (waiting.roots == 0, waiting.matters);
        if ended || matters {
            let mut spans = mem::take(&mut waiting.spans);
            self.spans -= spans.len();
            self.bytes -= mem::take(&mut waiting.bytes);
            spans.push(span);
            if ended {
                self.forget(trace_id);
            }
            if matters {
                return spans;
            }
            *gone = spans;
            return Vec::new();
        }
        let bytes = size::of_span(&span);
        waiting.spans.push(span);
        waiting.bytes += bytes;
        let share = room.share(waiting);
        if self.largest.is_none_or(|(largest, most)| largest == trace_id || share > most) {
            self.largest = Some((trace_id, share));
        }
        self.spans += 1;
        self.bytes += bytes;
        Vec::new()
    }

    fn forget(&mut self, trace_id: TraceId) -> Option<Waiting> {
        let waiting = self.traces.remove(&trace_id)?;
        self.spans -= waiting.spans.len();
        self.bytes -= waiting.bytes;
        self.largest = self.largest.filter(|(largest, _)| *largest != trace_id);
        if waiting.matters {
            if self.kept.len() == REMEMBERED {
                self.kept.pop_front();
            }
            self.kept.push_back(trace_id);
        }
        // What has ended goes from the front; the rest is looked at when its turn comes.
        while self.order.front().is_some_and(|first| !self.traces.contains_key(first)) {
            self.order.pop_front();
        }
        if self.order.len() > 2 * self.traces.len() + REMEMBERED {
            self.order.retain(|trace_id| self.traces.contains_key(trace_id));
        }
        Some(waiting)
    }

    /// Gives up traces until there is room; how many had spans that are lost by it.
    fn evict(&mut self, room: Room, gone: &mut Vec<SpanData>) -> u64 {
        let mut evicted = 0;
        loop {
            let crowded = self.spans > room.spans || self.bytes > room.bytes;
            // A trace without spans takes room too.
            if !crowded && self.traces.len() <= room.spans {
                return evicted;
            }
            let large = self.largest.filter(|(_, share)| crowded && *share >= 1_024 / 4);
            let Some(victim) = large.map(|(largest, _)| largest).or_else(|| self.order.front().copied())
            else {
                return evicted;
            };
            match self.forget(victim) {
                Some(waiting) => {
                    evicted += u64::from(!waiting.matters);
                    gone.extend(waiting.spans);
                }
                None => _ = self.order.pop_front(),
            }
        }
    }
}

/// The span as if the head had sampled it, which is what exporters go by.
fn sampled(mut span: SpanData) -> SpanData {
    let context = &span.span_context;
    let flags = context.trace_flags() | TraceFlags::SAMPLED;
    span.span_context =
        SpanContext::new(context.trace_id(), context.span_id(), flags, false, context.trace_state().clone());
    span
}

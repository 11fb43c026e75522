//! Tail sampling: keeps failed and slow traces.
//!
//! Whether a trace failed or was slow is known at its end, and head sampling decides at its start. So unsampled spans wait in
//! this buffer until their local root closes. If a span failed or the root was slow, the trace is exported, otherwise
//! dropped. Other processes do not take part in this decision.

use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::mem;
use std::time::Duration;

use opentelemetry::trace::{SpanContext, TraceFlags, TraceId};
use opentelemetry_sdk::trace::SpanData;
use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::telemetry::size;

/// Tail sampling policy: the traces that are kept although [`Sampling`](super::Sampling) would drop them.
///
/// The spans of a trace in this process wait in memory until one of them fails or the outermost closes. Then all of them are
/// exported, or none. Each span costs as much as a sampled one, except for the export.
///
/// # Example
/// ```
/// use std::time::Duration;
///
/// use campanile::telemetry::{Sampling, TailSampling, Telemetry};
///
/// // One trace in a hundred, every error, and every trace of more than two seconds.
/// let mut tail = TailSampling::default();
/// tail.slower_than = Some(Duration::from_secs(2));
/// let telemetry = Telemetry::builder("checkout")
///     .sampling(Sampling::parent_based(Sampling::Ratio(0.01)))
///     .tail_sampling(tail)
///     .build()?;
/// # Ok::<(), campanile::telemetry::TelemetryError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TailSampling {
    /// Whether traces with a failed span are kept. Default `true`.
    pub errors: bool,
    /// Traces whose outermost span took longer than this are kept. Default: `None`, which keeps no trace for its duration.
    #[serde(with = "crate::base::duration::option")]
    pub slower_than: Option<Duration>,
    /// Maximum number of waiting spans, over all traces. Default 16,384.
    ///
    /// The buffer has eight parts; a trace is in one of them. A part that is full, by spans or bytes, drops the trace that
    /// has a quarter of it or more, otherwise the oldest. Dropped traces are counted. Spans of a trace that is kept do not
    /// wait.
    pub spans: usize,
    /// Maximum bytes of waiting spans, estimated by their texts. Default 32 MiB.
    pub bytes: usize,
}

impl Default for TailSampling {
    fn default() -> Self {
        Self { errors: true, slower_than: None, spans: 16_384, bytes: 32 * 1024 * 1024 }
    }
}

impl TailSampling {
    pub(in crate::telemetry) fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check(self.spans >= SHARDS, "tail_sampling.spans", self.spans, "at least 8")?;
        ConfigError::check(self.bytes >= SHARDS, "tail_sampling.bytes", self.bytes, "at least 8")
    }
}

const SHARDS: usize = 8;
/// The number of recently kept traces per shard. Their spans that close after the root are exported too.
const REMEMBERED: usize = 128;

/// The traces that wait for a decision.
#[derive(Debug)]
pub(in crate::telemetry) struct Tail {
    settings: TailSampling,
    shards: [Mutex<Shard>; SHARDS],
    kept: AtomicU64,
    evicted: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    traces: HashMap<TraceId, Trace>,
    /// In the order of their start; some may have ended.
    order: VecDeque<TraceId>,
    /// The sum of their spans and bytes.
    spans: usize,
    bytes: usize,
    /// The trace with the largest share of the buffer, and that share in 1,024ths. After it is dropped, the largest of
    /// those that grew since.
    largest: Option<(TraceId, usize)>,
    kept: VecDeque<TraceId>,
}

#[derive(Debug, Default)]
struct Trace {
    /// Spans without a parent in this process that have not closed.
    roots: usize,
    /// Its spans are exported as they close.
    keep: bool,
    spans: Vec<SpanData>,
    bytes: usize,
}

/// The capacity of a shard.
#[derive(Clone, Copy, Debug)]
struct Capacity {
    spans: usize,
    bytes: usize,
}

impl Capacity {
    /// The share of `trace` in it, in 1,024ths.
    fn share(self, trace: &Trace) -> usize {
        let of = |some: usize, all: usize| some.saturating_mul(1_024) / all.max(1);
        of(trace.spans.len(), self.spans).max(of(trace.bytes, self.bytes))
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

    /// Adds a root: a span without a parent in this process.
    pub(in crate::telemetry) fn begin(&self, trace_id: TraceId) {
        let mut shard = self.shard(trace_id).lock();
        let shard = &mut *shard;
        if shard.kept.contains(&trace_id) {
            return;
        }
        let trace = shard.traces.entry(trace_id).or_insert_with(|| {
            shard.order.push_back(trace_id);
            Trace::default()
        });
        trace.roots += 1;
    }

    /// Adds a closed, unsampled span; returns the spans to export now.
    pub(in crate::telemetry) fn end(&self, span: SpanData, root: bool, failed: bool) -> Vec<SpanData> {
        let trace_id = span.span_context.trace_id();
        let took = || span.end_time.duration_since(span.start_time).unwrap_or_default();
        let keep = (failed && self.settings.errors)
            || (root && self.settings.slower_than.is_some_and(|limit| took() > limit));
        // Dropped outside of locks.
        let mut discarded = Vec::new();
        let capacity = Capacity { spans: self.settings.spans / SHARDS, bytes: self.settings.bytes / SHARDS };
        let mut shard = self.shard(trace_id).lock();
        let kept = shard.end(trace_id, span, root, keep, capacity, &mut discarded);
        let evicted = if kept.is_empty() { shard.evict(capacity, &mut discarded) } else { 0 };
        drop(shard);
        self.evicted.fetch_add(evicted, Ordering::Relaxed);
        let kept = kept.into_iter().map(sampled).collect::<Vec<_>>();
        self.kept.fetch_add(kept.len() as u64, Ordering::Relaxed);
        kept
    }

    /// Moves a root to another trace, or to none if that is sampled.
    pub(in crate::telemetry) fn move_root(&self, from: TraceId, to: Option<TraceId>) {
        let discarded = {
            let mut shard = self.shard(from).lock();
            let left = shard.traces.get_mut(&from).map(|trace| {
                trace.roots = trace.roots.saturating_sub(1);
                trace.roots
            });
            if left == Some(0) { shard.forget(from) } else { None }
        };
        drop(discarded);
        if let Some(to) = to {
            self.begin(to);
        }
    }

    /// The number of kept spans, and of traces that were dropped because the buffer was full.
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
        keep: bool,
        capacity: Capacity,
        discarded: &mut Vec<SpanData>,
    ) -> Vec<SpanData> {
        let Some(trace) = self.traces.get_mut(&trace_id) else {
            // Its root has closed, or it was dropped.
            return if keep || self.kept.contains(&trace_id) { vec![span] } else { Vec::new() };
        };
        trace.keep |= keep;
        trace.roots -= usize::from(root && trace.roots > 0);
        let (ended, keep) = (trace.roots == 0, trace.keep);
        if ended || keep {
            let mut spans = mem::take(&mut trace.spans);
            self.spans -= spans.len();
            self.bytes -= mem::take(&mut trace.bytes);
            spans.push(span);
            if ended {
                self.forget(trace_id);
            }
            if keep {
                return spans;
            }
            *discarded = spans;
            return Vec::new();
        }
        let bytes = size::of_span(&span);
        trace.spans.push(span);
        trace.bytes += bytes;
        let share = capacity.share(trace);
        if self.largest.is_none_or(|(largest, most)| largest == trace_id || share > most) {
            self.largest = Some((trace_id, share));
        }
        self.spans += 1;
        self.bytes += bytes;
        Vec::new()
    }

    fn forget(&mut self, trace_id: TraceId) -> Option<Trace> {
        let trace = self.traces.remove(&trace_id)?;
        self.spans -= trace.spans.len();
        self.bytes -= trace.bytes;
        self.largest = self.largest.filter(|(largest, _)| *largest != trace_id);
        if trace.keep {
            if self.kept.len() == REMEMBERED {
                self.kept.pop_front();
            }
            self.kept.push_back(trace_id);
        }
        // Removes ended traces from the front.
        while self.order.front().is_some_and(|first| !self.traces.contains_key(first)) {
            self.order.pop_front();
        }
        if self.order.len() > 2 * self.traces.len() + REMEMBERED {
            self.order.retain(|trace_id| self.traces.contains_key(trace_id));
        }
        Some(trace)
    }

    /// Drops traces until the shard is within its capacity. Returns how many of them were not kept.
    fn evict(&mut self, capacity: Capacity, discarded: &mut Vec<SpanData>) -> u64 {
        let mut evicted = 0;
        loop {
            let crowded = self.spans > capacity.spans || self.bytes > capacity.bytes;
            // A trace without spans takes memory too.
            if !crowded && self.traces.len() <= capacity.spans {
                return evicted;
            }
            let large = self.largest.filter(|(_, share)| crowded && *share >= 1_024 / 4);
            let Some(victim) = large.map(|(largest, _)| largest).or_else(|| self.order.front().copied())
            else {
                return evicted;
            };
            match self.forget(victim) {
                Some(trace) => {
                    evicted += u64::from(!trace.keep);
                    discarded.extend(trace.spans);
                }
                None => _ = self.order.pop_front(),
            }
        }
    }
}

/// The span marked as sampled, for the exporters.
fn sampled(mut span: SpanData) -> SpanData {
    let context = &span.span_context;
    let flags = context.trace_flags() | TraceFlags::SAMPLED;
    span.span_context =
        SpanContext::new(context.trace_id(), context.span_id(), flags, false, context.trace_state().clone());
    span
}

//! The table of the open spans.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use opentelemetry::Context;
use opentelemetry::trace::SpanContext;
use tracing::Metadata;

use super::clock_pair::ClockPair;
use super::layers::SpanKey;
use super::open_span::{ContextState, OpenSpan};
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::base::sync::{Mutex, MutexGuard};
use crate::telemetry::hasher::{IdHasher, SPREAD};

/// The number of shards, as a power of two.
const SHARDS: u32 = 8;

/// The open spans. See the [module](super).
#[derive(Debug)]
pub(in crate::telemetry) struct Spans {
    shards: Box<[Shard]>,
    /// Whether unsampled spans are recorded too.
    record_unsampled: bool,
    /// Odd while a span gets a new parent.
    generation: AtomicU64,
    parent_change: Mutex<()>,
}

/// Aligned, so that shards share no cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// The first span. A shard rarely has two.
    front: Option<Box<OpenSpan>>,
    others: HashMap<SpanKey, Box<OpenSpan>, BuildHasherDefault<IdHasher>>,
    started: u64,
    sampled: u64,
}

/// The values that a child inherits.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct Inherited {
    pub(in crate::telemetry) context: SpanContext,
    pub(in crate::telemetry) clocks: Option<ClockPair>,
}

impl Table {
    #[inline]
    fn get(&mut self, key: SpanKey) -> Option<&mut OpenSpan> {
        match &mut self.front {
            Some(front) if front.key == key => Some(front),
            _ if self.others.is_empty() => None,
            _ => self.others.get_mut(&key).map(|open_span| &mut **open_span),
        }
    }

    #[inline]
    fn insert(&mut self, open_span: Box<OpenSpan>) {
        if self.front.is_none() {
            self.front = Some(open_span);
        } else {
            self.others.insert(open_span.key, open_span);
        }
    }

    #[inline]
    fn remove(&mut self, key: SpanKey) -> Option<Box<OpenSpan>> {
        if self.front.as_ref().is_some_and(|front| front.key == key) {
            self.front.take()
        } else if self.others.is_empty() {
            None
        } else {
            self.others.remove(&key)
        }
    }

    fn iter(&self) -> impl Iterator<Item = &OpenSpan> {
        self.front.iter().chain(self.others.values()).map(|open_span| &**open_span)
    }
}

impl Spans {
    /// With `record_unsampled`, unsampled spans are recorded too.
    pub(in crate::telemetry) fn new(record_unsampled: bool) -> Self {
        Self {
            shards: (0..1 << SHARDS).map(|_| Shard::default()).collect(),
            record_unsampled,
            generation: AtomicU64::new(0),
            parent_change: Mutex::new(()),
        }
    }

    #[inline]
    fn shard(&self, key: SpanKey) -> MutexGuard<'_, Table> {
        // The high bits are the registry's count of reuses of a slot. Without them, the consecutive spans of a thread
        // share one shard, which is in its cache.
        let place = ((key.id << 13) ^ key.layer).wrapping_mul(SPREAD) >> (u64::BITS - SHARDS);
        self.shards[place as usize].0.lock()
    }

    /// Reads or changes a span. `action` runs under the lock.
    #[inline]
    pub(in crate::telemetry) fn with<R>(
        &self,
        key: SpanKey,
        action: impl FnOnce(&mut OpenSpan) -> R,
    ) -> Option<R> {
        self.shard(key).get(key).map(action)
    }

    #[inline]
    pub(in crate::telemetry) fn remove(&self, key: SpanKey) -> Option<Box<OpenSpan>> {
        let mut shard = self.shard(key);
        let open_span = shard.remove(key)?;
        shard.sampled += u64::from(open_span.context.is_sampled());
        Some(open_span)
    }

    /// Returns what a child of the span `key` inherits.
    #[inline]
    pub(in crate::telemetry) fn inherit(&self, key: SpanKey) -> Option<Inherited> {
        self.with(key, |parent| {
            parent.has_children = true;
            Inherited { context: parent.context.clone(), clocks: parent.clocks }
        })
    }

    #[inline]
    pub(in crate::telemetry) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Adds a new span. `generation` was read before its parent.
    #[inline]
    pub(in crate::telemetry) fn insert(&self, open_span: Box<OpenSpan>, generation: u64) {
        let (key, local_parent) = (open_span.key, open_span.local_parent);
        {
            let mut shard = self.shard(key);
            shard.started += 1;
            shard.insert(open_span);
        }
        if local_parent != 0 && (generation % 2 == 1 || self.generation() != generation) {
            self.catch_up(key, local_parent);
        }
    }

    /// Handles that an ancestor got another parent before the span `key` was in the table.
    #[cold]
    fn catch_up(&self, key: SpanKey, local_parent: u64) {
        let _after_it = self.parent_change.lock();
        if let Some(parent) = self.inherit(SpanKey { id: local_parent, ..key }) {
            self.with(key, |open_span| open_span.join(&parent.context, self.record_unsampled));
        }
    }

    /// Moves the span `key` and its open descendants under `parent`. Returns the old context, whose values must be dropped
    /// outside of locks.
    #[must_use]
    pub(in crate::telemetry) fn set_parent(
        &self,
        key: SpanKey,
        parent: &SpanContext,
        sampled: bool,
        base: &Context,
    ) -> Option<ContextState> {
        let _one_at_a_time = self.parent_change.lock();
        self.generation.fetch_add(1, Ordering::AcqRel);
        let changed = self.with(key, |open_span| {
            let old = open_span.set_parent(parent, sampled, base, self.record_unsampled);
            (open_span.has_children.then(|| open_span.context.clone()), old)
        });
        if let Some((Some(context), _)) = &changed {
            self.descendants(key).into_iter().for_each(|id| {
                self.with(SpanKey { id, ..key }, |open_span| open_span.join(context, self.record_unsampled));
            });
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
        changed.map(|(_, old)| old)
    }

    /// The ids of all descendants of `key`. Scans all open spans: a late parent of a span with children is rare.
    fn descendants(&self, key: SpanKey) -> Vec<u64> {
        let mut children: HashMap<u64, Vec<u64>> = HashMap::new();
        for shard in &self.shards {
            for open_span in shard.0.lock().iter().filter(|open_span| open_span.key.layer == key.layer) {
                children.entry(open_span.local_parent).or_default().push(open_span.key.id);
            }
        }
        let mut found = children.remove(&key.id).unwrap_or_default();
        let mut next = 0;
        while let Some(id) = found.get(next) {
            next += 1;
            found.extend(children.remove(id).into_iter().flatten());
        }
        found
    }

    /// The spans of a layer.
    pub(in crate::telemetry) fn of_layer(&self, layer: u64) -> Vec<(SpanKey, &'static Metadata<'static>)> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.0.lock();
            let own = shard.iter().filter(|open_span| open_span.key.layer == layer);
            found.extend(own.map(|open_span| (open_span.key, open_span.metadata)));
        }
        found
    }

    /// Removes the spans of a dropped layer.
    pub(in crate::telemetry) fn remove_layer(&self, layer: u64) {
        // Dropped outside of locks.
        self.of_layer(layer).into_iter().for_each(|(key, _)| drop(self.remove(key)));
    }

    /// The number of started spans, and of closed sampled spans.
    pub(in crate::telemetry) fn totals(&self) -> (u64, u64) {
        self.shards.iter().fold((0, 0), |(started, sampled), shard| {
            let shard = shard.0.lock();
            (started + shard.started, sampled + shard.sampled)
        })
    }
}

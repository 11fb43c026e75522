//! The table of the open spans.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use opentelemetry::Context;
use opentelemetry::trace::SpanContext;
use tracing::Metadata;

use super::anchor::Anchor;
use super::layers::Key;
use super::live::{Live, Otel};
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::base::sync::{Mutex, MutexGuard};
use crate::telemetry::hasher::{IdHasher, SPREAD};

/// As a power of two.
const SHARDS: u32 = 8;

/// The open spans. See the [module](super).
#[derive(Debug)]
pub(in crate::telemetry) struct Spans {
    shards: Box<[Shard]>,
    /// Whether unsampled spans are recorded too.
    keep: bool,
    /// Odd while a span gets another parent.
    generation: AtomicU64,
    adoption: Mutex<()>,
}

/// On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// The first one; there are rarely two.
    front: Option<Box<Live>>,
    others: HashMap<Key, Box<Live>, BuildHasherDefault<IdHasher>>,
    started: u64,
    sampled: u64,
}

/// The values that a child inherits.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct Inherited {
    pub(in crate::telemetry) context: SpanContext,
    pub(in crate::telemetry) anchor: Option<Anchor>,
}

impl Table {
    #[inline]
    fn get(&mut self, key: Key) -> Option<&mut Live> {
        match &mut self.front {
            Some(front) if front.key == key => Some(front),
            _ if self.others.is_empty() => None,
            _ => self.others.get_mut(&key).map(|live| &mut **live),
        }
    }

    #[inline]
    fn insert(&mut self, live: Box<Live>) {
        if self.front.is_none() {
            self.front = Some(live);
        } else {
            self.others.insert(live.key, live);
        }
    }

    #[inline]
    fn remove(&mut self, key: Key) -> Option<Box<Live>> {
        if self.front.as_ref().is_some_and(|front| front.key == key) {
            self.front.take()
        } else if self.others.is_empty() {
            None
        } else {
            self.others.remove(&key)
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Live> {
        self.front.iter().chain(self.others.values()).map(|live| &**live)
    }
}

impl Spans {
    /// With `keep`, unsampled spans are recorded too.
    pub(in crate::telemetry) fn new(keep: bool) -> Self {
        Self {
            shards: (0..1 << SHARDS).map(|_| Shard::default()).collect(),
            keep,
            generation: AtomicU64::new(0),
            adoption: Mutex::new(()),
        }
    }

    #[inline]
    fn shard(&self, key: Key) -> MutexGuard<'_, Table> {
        // The high bits are the registry's count of reuses of a slot. Without them, the consecutive spans of a thread
        // share one shard, which is in its cache.
        let place = ((key.id << 13) ^ key.layer).wrapping_mul(SPREAD) >> (u64::BITS - SHARDS);
        self.shards[place as usize].0.lock()
    }

    /// Reads or changes a span. `action` runs under the lock.
    #[inline]
    pub(in crate::telemetry) fn with<R>(&self, key: Key, action: impl FnOnce(&mut Live) -> R) -> Option<R> {
        self.shard(key).get(key).map(action)
    }

    #[inline]
    pub(in crate::telemetry) fn remove(&self, key: Key) -> Option<Box<Live>> {
        let mut shard = self.shard(key);
        let live = shard.remove(key)?;
        shard.sampled += u64::from(live.context.is_sampled());
        Some(live)
    }

    /// Returns what a child of the span `key` inherits.
    #[inline]
    pub(in crate::telemetry) fn inherit(&self, key: Key) -> Option<Inherited> {
        self.with(key, |parent| {
            parent.has_children = true;
            Inherited { context: parent.context.clone(), anchor: parent.anchor }
        })
    }

    #[inline]
    pub(in crate::telemetry) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Adds a new span. `generation` was read before its parent.
    #[inline]
    pub(in crate::telemetry) fn insert(&self, live: Box<Live>, generation: u64) {
        let (key, local_parent) = (live.key, live.local_parent);
        {
            let mut shard = self.shard(key);
            shard.started += 1;
            shard.insert(live);
        }
        if local_parent != 0 && (generation % 2 == 1 || self.generation() != generation) {
            self.catch_up(key, local_parent);
        }
    }

    /// Handles that an ancestor got another parent before the span `key` was in the table.
    #[cold]
    fn catch_up(&self, key: Key, local_parent: u64) {
        let _after_it = self.adoption.lock();
        if let Some(parent) = self.inherit(Key { id: local_parent, ..key }) {
            self.with(key, |live| live.follow(&parent.context, self.keep));
        }
    }

    /// Moves the span `key` and its open descendants under `parent`. Returns the old context, whose values must be dropped
    /// outside of locks.
    #[must_use]
    pub(in crate::telemetry) fn adopt(
        &self,
        key: Key,
        parent: &SpanContext,
        sampled: bool,
        base: &Context,
    ) -> Option<Otel> {
        let _one_at_a_time = self.adoption.lock();
        self.generation.fetch_add(1, Ordering::AcqRel);
        let changed = self.with(key, |live| {
            let old = live.adopt(parent, sampled, base, self.keep);
            (live.has_children.then(|| live.context.clone()), old)
        });
        if let Some((Some(context), _)) = &changed {
            self.descendants(key).into_iter().for_each(|id| {
                self.with(Key { id, ..key }, |live| live.follow(context, self.keep));
            });
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
        changed.map(|(_, old)| old)
    }

    /// The ids of all descendants of `key`. Scans all open spans: a late parent of a span with children is rare.
    fn descendants(&self, key: Key) -> Vec<u64> {
        let mut children: HashMap<u64, Vec<u64>> = HashMap::new();
        for shard in &self.shards {
            for live in shard.0.lock().iter().filter(|live| live.key.layer == key.layer) {
                children.entry(live.local_parent).or_default().push(live.key.id);
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
    pub(in crate::telemetry) fn of(&self, layer: u64) -> Vec<(Key, &'static Metadata<'static>)> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.0.lock();
            let own = shard.iter().filter(|live| live.key.layer == layer);
            found.extend(own.map(|live| (live.key, live.metadata)));
        }
        found
    }

    /// Removes the spans of a dropped layer.
    pub(in crate::telemetry) fn give_up(&self, layer: u64) {
        // Dropped outside of locks.
        self.of(layer).into_iter().for_each(|(key, _)| drop(self.remove(key)));
    }

    /// The number of started spans, and of closed sampled spans.
    pub(in crate::telemetry) fn totals(&self) -> (u64, u64) {
        self.shards.iter().fold((0, 0), |(started, sampled), shard| {
            let shard = shard.0.lock();
            (started + shard.started, sampled + shard.sampled)
        })
    }
}

//! The open spans.
//!
//! They are kept here and not in the registry's extensions, which allocate for each value and lock for each span. This table
//! is allocated once and split into shards by span, so that threads rarely contend. No lock is held while code outside of
//! this module runs.

mod anchor;
mod layers;
mod live;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use opentelemetry::Context;
use opentelemetry::trace::SpanContext;
use tracing::Metadata;

pub(super) use self::anchor::Anchor;
pub(super) use self::layers::{Key, Layers, Number};
pub(super) use self::live::{Live, Otel, Verdict};
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::base::sync::{Mutex, MutexGuard};

/// As a power of two.
const SHARDS: u32 = 8;

/// The open spans. See the [module](self).
#[derive(Debug)]
pub(super) struct Spans {
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
    others: HashMap<Key, Box<Live>, BuildHasherDefault<Mix>>,
    started: u64,
    sampled: u64,
}

/// A single multiplication is enough: ids are small numbers that no outsider chooses.
#[derive(Default)]
pub(super) struct Mix(u64);

/// 2^64 divided by the golden ratio: it spreads neighbours.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(SPREAD);
        self.0 ^= self.0 >> 32;
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The values that a child inherits.
#[derive(Clone, Debug)]
pub(super) struct Inherited {
    pub(super) context: SpanContext,
    pub(super) anchor: Option<Anchor>,
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
    pub(super) fn new(keep: bool) -> Self {
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
    pub(super) fn with<R>(&self, key: Key, action: impl FnOnce(&mut Live) -> R) -> Option<R> {
        self.shard(key).get(key).map(action)
    }

    #[inline]
    pub(super) fn remove(&self, key: Key) -> Option<Box<Live>> {
        let mut shard = self.shard(key);
        let live = shard.remove(key)?;
        shard.sampled += u64::from(live.context.is_sampled());
        Some(live)
    }

    /// Returns what a child of the span `key` inherits.
    #[inline]
    pub(super) fn inherit(&self, key: Key) -> Option<Inherited> {
        self.with(key, |parent| {
            parent.has_children = true;
            Inherited { context: parent.context.clone(), anchor: parent.anchor }
        })
    }

    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Adds a new span. `generation` was read before its parent.
    #[inline]
    pub(super) fn insert(&self, live: Box<Live>, generation: u64) {
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
    pub(super) fn adopt(
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
    pub(super) fn of(&self, layer: u64) -> Vec<(Key, &'static Metadata<'static>)> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.0.lock();
            let own = shard.iter().filter(|live| live.key.layer == layer);
            found.extend(own.map(|live| (live.key, live.metadata)));
        }
        found
    }

    /// Removes the spans of a dropped layer.
    pub(super) fn give_up(&self, layer: u64) {
        // Dropped outside of locks.
        self.of(layer).into_iter().for_each(|(key, _)| drop(self.remove(key)));
    }

    /// The number of started spans, and of closed sampled spans.
    pub(super) fn totals(&self) -> (u64, u64) {
        self.shards.iter().fold((0, 0), |(started, sampled), shard| {
            let shard = shard.0.lock();
            (started + shard.started, sampled + shard.sampled)
        })
    }
}

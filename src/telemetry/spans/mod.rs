//! The spans that are alive.
//!
//! They are kept here and not in the registry's extensions: those allocate for every value and are behind a
//! lock for each span, this is a table that grows once. It is split into shards by span, so that threads
//! rarely meet. No lock is held while anything outside this module runs.

mod anchor;
mod live;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use opentelemetry::Context;
use opentelemetry::trace::SpanContext;

pub(super) use self::anchor::Anchor;
pub(super) use self::live::{Live, Otel, Verdict};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// As a power of two.
const SHARDS: u32 = 8;

/// The spans that are alive. See the [module](self).
#[derive(Debug)]
pub(super) struct Spans {
    shards: Box<[Shard]>,
    /// Whether spans are recorded that are not sampled.
    keep: bool,
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
    /// The first that came, as there are rarely two.
    front: Option<Box<Live>>,
    others: HashMap<u64, Box<Live>, BuildHasherDefault<Mix>>,
    started: u64,
    sampled: u64,
}

/// One multiplication: ids are small numbers that nobody outside chooses.
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

/// What a child takes from its parent.
#[derive(Clone, Debug)]
pub(super) struct Inherited {
    pub(super) context: SpanContext,
    pub(super) anchor: Option<Anchor>,
}

impl Table {
    #[inline]
    fn get(&mut self, id: u64) -> Option<&mut Live> {
        match &mut self.front {
            Some(front) if front.id == id => Some(front),
            _ if self.others.is_empty() => None,
            _ => self.others.get_mut(&id).map(|live| &mut **live),
        }
    }

    #[inline]
    fn insert(&mut self, live: Box<Live>) {
        if self.front.is_none() {
            self.front = Some(live);
        } else {
            self.others.insert(live.id, live);
        }
    }

    #[inline]
    fn remove(&mut self, id: u64) -> Option<Box<Live>> {
        if self.front.as_ref().is_some_and(|front| front.id == id) {
            self.front.take()
        } else if self.others.is_empty() {
            None
        } else {
            self.others.remove(&id)
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Live> {
        self.front.iter().chain(self.others.values()).map(|live| &**live)
    }
}

impl Spans {
    /// With `keep`, spans are recorded that are not sampled.
    pub(super) fn new(keep: bool) -> Self {
        Self {
            shards: (0..1 << SHARDS).map(|_| Shard::default()).collect(),
            keep,
            generation: AtomicU64::new(0),
            adoption: Mutex::new(()),
        }
    }

    #[inline]
    fn shard(&self, id: u64) -> MutexGuard<'_, Table> {
        // The registry counts in the high bits how often it has used a place. Without them the spans that a thread
        // opens one after the other meet in one shard, which is in its cache.
        let place = (id << 13).wrapping_mul(SPREAD) >> (u64::BITS - SHARDS);
        self.shards[place as usize].0.lock()
    }

    /// Reads or changes a span. `action` must do nothing else.
    #[inline]
    pub(super) fn with<R>(&self, id: u64, action: impl FnOnce(&mut Live) -> R) -> Option<R> {
        self.shard(id).get(id).map(action)
    }

    #[inline]
    pub(super) fn remove(&self, id: u64) -> Option<Box<Live>> {
        let mut shard = self.shard(id);
        let live = shard.remove(id)?;
        shard.sampled += u64::from(live.context.is_sampled());
        Some(live)
    }

    /// What a child of the span `id` takes from it.
    #[inline]
    pub(super) fn inherit(&self, id: u64) -> Option<Inherited> {
        self.with(id, |parent| {
            parent.has_children = true;
            Inherited { context: parent.context.clone(), anchor: parent.anchor }
        })
    }

    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Takes in a new span. `generation` was read before its parent was.
    #[inline]
    pub(super) fn insert(&self, live: Box<Live>, generation: u64) {
        let (id, local_parent) = (live.id, live.local_parent);
        {
            let mut shard = self.shard(id);
            shard.started += 1;
            shard.insert(live);
        }
        if local_parent != 0 && (generation % 2 == 1 || self.generation() != generation) {
            self.catch_up(id, local_parent);
        }
    }

    /// An ancestor got another parent meanwhile, and may not have found the span `id` in the table.
    #[cold]
    fn catch_up(&self, id: u64, local_parent: u64) {
        let _after_it = self.adoption.lock();
        if let Some(parent) = self.inherit(local_parent) {
            self.with(id, |live| live.follow(&parent.context, self.keep));
        }
    }

    /// Puts the span `id` under `parent`, and with it everything below it that is alive. Gives what its context was:
    /// a value in it may do anything when it is dropped.
    #[must_use]
    pub(super) fn adopt(&self, id: u64, parent: &SpanContext, sampled: bool, base: &Context) -> Option<Otel> {
        let _one_at_a_time = self.adoption.lock();
        self.generation.fetch_add(1, Ordering::AcqRel);
        let changed = self.with(id, |live| {
            let old = live.adopt(parent, sampled, base, self.keep);
            (live.has_children.then(|| live.context.clone()), old)
        });
        if let Some((Some(context), _)) = &changed {
            self.descendants(id).into_iter().for_each(|id| {
                self.with(id, |live| live.follow(context, self.keep));
            });
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
        changed.map(|(_, old)| old)
    }

    /// Every span below `id`. Looks at all that are alive: a late parent of a span with children is rare.
    fn descendants(&self, id: u64) -> Vec<u64> {
        let mut children: HashMap<u64, Vec<u64>> = HashMap::new();
        for shard in &self.shards {
            for live in shard.0.lock().iter() {
                children.entry(live.local_parent).or_default().push(live.id);
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

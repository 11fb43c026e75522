//! The identity of span layers.
//!
//! Each registry numbers its spans from one, so an id is not unique in a process. Each layer has a number that is unique in
//! the process, and a [`SpanKey`] holds both.
//!
//! A layer gets its number when it is added to a subscriber. A layer that replaces another one in a `reload`
//! gets no such call. With its first span it takes over the number and the spans of the layer whose spans its registry has,
//! or whose address it has.

use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// Identifies a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::telemetry) struct SpanKey {
    /// The number of the layer.
    pub(in crate::telemetry) layer: u64,
    /// The id in the registry.
    pub(in crate::telemetry) id: u64,
}

/// The number of one layer. 0 until it has one.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct LayerNumber(AtomicU64);

impl LayerNumber {
    #[inline]
    pub(in crate::telemetry) fn get(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|number| *number != 0)
    }
}

/// The layers of a pipeline.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct LayerRegistry(Mutex<Vec<LayerEntry>>);

#[derive(Debug)]
struct LayerEntry {
    number: u64,
    /// Whether the console of its subscriber knows the number. Also `true` without a console.
    console_found: bool,
    /// Its address, if it was dropped.
    dropped_at: Option<usize>,
}

/// The number of dropped layers that are kept for a successor. Spans of older ones are dropped.
const REMEMBERED: usize = 8;

impl LayerRegistry {
    /// Gives a layer a new number, if it has none.
    pub(in crate::telemetry) fn register(&self, own: &LayerNumber) -> u64 {
        let mut layers = self.0.lock();
        own.get().unwrap_or_else(|| register(&mut layers, own))
    }

    /// The dropped layers that are kept: their numbers and addresses.
    pub(in crate::telemetry) fn dropped(&self) -> Vec<(u64, usize)> {
        self.0.lock().iter().filter_map(|entry| Some((entry.number, entry.dropped_at?))).collect()
    }

    /// Like [`register`](Self::register), but with the number of the layer `before`, if that was dropped and has no successor.
    pub(in crate::telemetry) fn take_over(&self, own: &LayerNumber, before: Option<u64>) -> u64 {
        let mut layers = self.0.lock();
        if let Some(number) = own.get() {
            return number;
        }
        let left = |entry: &&mut LayerEntry| entry.dropped_at.is_some() && Some(entry.number) == before;
        let Some(entry) = layers.iter_mut().find(left) else { return register(&mut layers, own) };
        entry.dropped_at = None;
        own.0.store(entry.number, Ordering::Relaxed);
        entry.number
    }

    /// Marks the layer at `address` as dropped, and keeps it for a successor. Returns the numbers of layers that are
    /// no longer kept, whose spans must be removed.
    pub(in crate::telemetry) fn remove(&self, number: u64, address: usize) -> Vec<u64> {
        let mut layers = self.0.lock();
        let Some(at) = layers.iter().position(|entry| entry.number == number) else { return Vec::new() };
        let mut entry = layers.remove(at);
        entry.dropped_at = Some(address);
        let mut left = layers.iter().filter(|entry| entry.dropped_at.is_some()).count();
        let mut forgotten = Vec::new();
        layers.retain(|entry| {
            // Of two layers at one address, only the last can have a successor.
            let forget =
                entry.dropped_at == Some(address) || entry.dropped_at.is_some() && left >= REMEMBERED;
            if forget {
                left -= 1;
                forgotten.push(entry.number);
            }
            !forget
        });
        layers.push(entry);
        forgotten
    }

    /// Records that the console of the layer's subscriber knows the layer, or that there is no console.
    pub(in crate::telemetry) fn set_console_found(&self, number: u64) {
        let mut layers = self.0.lock();
        layers.iter_mut().filter(|entry| entry.number == number).for_each(|entry| entry.console_found = true);
    }

    /// Whether the layer exists.
    pub(in crate::telemetry) fn is_alive(&self, number: u64) -> bool {
        self.0.lock().iter().any(|entry| entry.number == number && entry.dropped_at.is_none())
    }

    /// The only layer that no console knows, or `None` if there are several.
    pub(in crate::telemetry) fn without_console(&self) -> Option<u64> {
        let layers = self.0.lock();
        let mut without = layers.iter().filter(|entry| !entry.console_found && entry.dropped_at.is_none());
        let first = without.next()?.number;
        without.next().is_none().then_some(first)
    }
}

fn register(layers: &mut Vec<LayerEntry>, own: &LayerNumber) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    own.0.store(number, Ordering::Relaxed);
    layers.push(LayerEntry { number, console_found: false, dropped_at: None });
    number
}

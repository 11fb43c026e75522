//! The identity of span layers.
//!
//! Each registry numbers its spans from one, so an id is not unique in a process. Each layer has a number that is unique in
//! the process, and a [`Key`] holds both.
//!
//! A layer gets its number when it is added to a subscriber. A layer that is put into a `reload` later is not told of that. It
//! takes over the number, and so the spans, of the layer whose spans its registry has, or whose place it has taken.

use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// Identifies a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::telemetry) struct Key {
    /// The number of the layer.
    pub(in crate::telemetry) layer: u64,
    /// The registry's id.
    pub(in crate::telemetry) id: u64,
}

/// The number of one layer; 0 until it has one.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct Number(AtomicU64);

impl Number {
    #[inline]
    pub(in crate::telemetry) fn get(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|number| *number != 0)
    }
}

/// The layers of a pipeline.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct Layers(Mutex<Vec<Known>>);

#[derive(Debug)]
struct Known {
    number: u64,
    /// Whether the console of its subscriber, if there is one, knows the number.
    told: bool,
    /// Its address, after it was dropped.
    stood: Option<usize>,
}

/// The number of dropped layers that are kept for a successor. Spans of older ones are dropped.
const REMEMBERED: usize = 8;

impl Layers {
    /// Gives a layer a new number, if it has none.
    pub(in crate::telemetry) fn begin(&self, own: &Number) -> u64 {
        let mut layers = self.0.lock();
        own.get().unwrap_or_else(|| begin(&mut layers, own))
    }

    /// The dropped layers that are kept: their numbers and addresses.
    pub(in crate::telemetry) fn gone(&self) -> Vec<(u64, usize)> {
        self.0.lock().iter().filter_map(|known| Some((known.number, known.stood?))).collect()
    }

    /// Like [`begin`](Self::begin), but with the number of the layer `before`, if that was dropped and has no successor.
    pub(in crate::telemetry) fn take_over(&self, own: &Number, before: Option<u64>) -> u64 {
        let mut layers = self.0.lock();
        if let Some(number) = own.get() {
            return number;
        }
        let left = |known: &&mut Known| known.stood.is_some() && Some(known.number) == before;
        let Some(known) = layers.iter_mut().find(left) else { return begin(&mut layers, own) };
        known.stood = None;
        own.0.store(known.number, Ordering::Relaxed);
        known.number
    }

    /// Takes a layer out that stood at `place`, and remembers it for its successor. Gives the numbers of those that are
    /// forgotten: their spans are to be given up.
    pub(in crate::telemetry) fn leave(&self, number: u64, place: usize) -> Vec<u64> {
        let mut layers = self.0.lock();
        let Some(at) = layers.iter().position(|known| known.number == number) else { return Vec::new() };
        let mut known = layers.remove(at);
        known.stood = Some(place);
        let mut left = layers.iter().filter(|known| known.stood.is_some()).count();
        let mut forgotten = Vec::new();
        layers.retain(|known| {
            // Of two layers at one address, only the last can have a successor.
            let forget = known.stood == Some(place) || known.stood.is_some() && left >= REMEMBERED;
            if forget {
                left -= 1;
                forgotten.push(known.number);
            }
            !forget
        });
        layers.push(known);
        forgotten
    }

    /// Sets that the console of a layer's subscriber knows the layer, or that there is none.
    pub(in crate::telemetry) fn told(&self, number: u64) {
        let mut layers = self.0.lock();
        layers.iter_mut().filter(|known| known.number == number).for_each(|known| known.told = true);
    }

    /// Whether the layer exists.
    pub(in crate::telemetry) fn stands(&self, number: u64) -> bool {
        self.0.lock().iter().any(|known| known.number == number && known.stood.is_none())
    }

    /// The only layer whose console does not know it; `None` if there are several.
    pub(in crate::telemetry) fn untold(&self) -> Option<u64> {
        let layers = self.0.lock();
        let mut untold = layers.iter().filter(|known| !known.told && known.stood.is_none());
        let first = untold.next()?.number;
        untold.next().is_none().then_some(first)
    }
}

fn begin(layers: &mut Vec<Known>, own: &Number) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    own.0.store(number, Ordering::Relaxed);
    layers.push(Known { number, told: false, stood: None });
    number
}

//! The last snapshot, for probes.
//!
//! Probes come in floods. The readiness fits into one word with the time until which it is valid: most probes cost one
//! load.

use std::sync::Arc;
use std::time::Duration;

use super::snapshot::HealthSnapshot;
use crate::base::clock::Tick;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// The last snapshot.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// The lowest bit says whether the process is ready, the bits above until when that is valid. 0: unknown.
    word: AtomicU64,
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Grows with each change: a snapshot that began before a change is not kept.
    generation: u64,
    until: Tick,
    snapshot: Option<Arc<HealthSnapshot>>,
}

/// The right to put a snapshot into the cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    generation: u64,
}

impl Cache {
    /// The readiness, if it is known at `now`. Costs neither a lock nor an allocation.
    pub(super) fn ready(&self, now: Tick) -> Option<bool> {
        let word = self.word.load(Ordering::Acquire);
        (now.0 < word >> 1).then_some(word & 1 == 1)
    }

    /// The last snapshot, or the ticket to take the next one.
    ///
    /// One caller gets the ticket. Until its snapshot is there, other callers get the old one.
    pub(super) fn get(&self, now: Tick, keep_for: Duration) -> Result<Arc<HealthSnapshot>, Ticket> {
        let mut slot = self.slot.lock();
        match &slot.snapshot {
            Some(snapshot) if now < slot.until => Ok(Arc::clone(snapshot)),
            old => {
                let ready = old.as_ref().map(|old| old.is_ready());
                slot.until = now + keep_for;
                if let Some(ready) = ready {
                    self.publish(slot.until, ready);
                }
                Err(Ticket { generation: slot.generation })
            }
        }
    }

    /// A ticket for a snapshot that no probe asked for.
    pub(super) fn ticket(&self) -> Ticket {
        Ticket { generation: self.slot.lock().generation }
    }

    /// Keeps `snapshot`, unless something has changed since `ticket` was given.
    pub(super) fn put(&self, ticket: Ticket, now: Tick, keep_for: Duration, snapshot: &Arc<HealthSnapshot>) {
        let mut slot = self.slot.lock();
        if slot.generation == ticket.generation {
            slot.until = now + keep_for;
            slot.snapshot = Some(Arc::clone(snapshot));
            self.publish(slot.until, snapshot.is_ready());
        }
    }

    /// Discards the snapshot.
    pub(super) fn invalidate(&self) {
        let mut slot = self.slot.lock();
        slot.generation += 1;
        slot.snapshot = None;
        self.word.store(0, Ordering::Release);
    }

    /// Called with the slot locked, so that the word always agrees with it.
    fn publish(&self, until: Tick, ready: bool) {
        self.word.store(until.0 << 1 | u64::from(ready), Ordering::Release);
    }
}

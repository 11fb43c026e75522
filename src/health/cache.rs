//! The last snapshot, for those who ask often.
//!
//! Probes come in floods. Whether the process is ready fits into one word with the moment until which that counts,
//! so that the answer to most of them is one load.

use std::sync::Arc;
use std::time::Duration;

use super::snapshot::HealthSnapshot;
use crate::base::clock::Tick;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// The last snapshot.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// Whether it is ready in the lowest bit, and above that until when this counts; 0 when nothing does.
    word: AtomicU64,
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    /// Moves when something has changed: what was begun before does not count any more.
    generation: u64,
    until: Tick,
    snapshot: Option<Arc<HealthSnapshot>>,
}

/// Leave to put a snapshot into the cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    generation: u64,
}

impl Cache {
    /// Whether it is ready, if that is known at `now`. Costs neither lock nor allocation.
    pub(super) fn ready(&self, now: Tick) -> Option<bool> {
        let word = self.word.load(Ordering::Acquire);
        (now.0 < word >> 1).then_some(word & 1 == 1)
    }

    /// The last snapshot, or the turn to make the next one.
    ///
    /// One caller makes the next; those that come meanwhile take the old one.
    pub(super) fn get(&self, now: Tick, keep_for: Duration) -> Result<Arc<HealthSnapshot>, Turn> {
        let mut slot = self.slot.lock();
        match &slot.snapshot {
            Some(snapshot) if now < slot.until => Ok(Arc::clone(snapshot)),
            old => {
                let ready = old.as_ref().map(|old| old.is_ready());
                slot.until = now + keep_for;
                if let Some(ready) = ready {
                    self.say(slot.until, ready);
                }
                Err(Turn { generation: slot.generation })
            }
        }
    }

    /// Leave to put a snapshot there that was not asked for.
    pub(super) fn turn(&self) -> Turn {
        Turn { generation: self.slot.lock().generation }
    }

    /// Keeps `snapshot`, unless something has changed since its `turn` began.
    pub(super) fn put(&self, turn: Turn, now: Tick, keep_for: Duration, snapshot: &Arc<HealthSnapshot>) {
        let mut slot = self.slot.lock();
        if slot.generation == turn.generation {
            slot.until = now + keep_for;
            slot.snapshot = Some(Arc::clone(snapshot));
            self.say(slot.until, snapshot.is_ready());
        }
    }

    /// The next one who asks makes a new one.
    pub(super) fn forget(&self) {
        let mut slot = self.slot.lock();
        slot.generation += 1;
        slot.snapshot = None;
        self.word.store(0, Ordering::Release);
    }

    /// Under the lock of the slot, so that the word never says more than that.
    fn say(&self, until: Tick, ready: bool) {
        self.word.store(until.0 << 1 | u64::from(ready), Ordering::Release);
    }
}

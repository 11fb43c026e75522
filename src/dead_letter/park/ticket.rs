//! The counters of letters on their way to the store.

use std::fmt::Display;
use std::sync::Arc;

use crate::dead_letter::core::Core;
use crate::dead_letter::letter::Unsendable;
use crate::dead_letter::snapshot::DropReason;
use crate::store::Put;

/// The maximum number of letters on their way to the store at one time, so that a store that hangs does not fill the
/// memory.
const MAX_PARKING: u64 = 10_000;

/// Counts one final failure: as on its way while it exists, then once as parked or dropped.
pub(super) struct Ticket {
    core: Arc<Core>,
    /// The bytes of the letter that are counted.
    bytes: u64,
    settled: bool,
}

impl Ticket {
    /// Counts a final failure whose request holds `bytes`. If too many letters or bytes are on their way to the store, the
    /// letter is counted as dropped and there is no ticket.
    pub(super) fn open(core: &Arc<Core>, bytes: u64) -> Option<Self> {
        let fits = core.count(|counts| {
            counts.failures += 1;
            counts.parking += 1;
            counts.parking <= MAX_PARKING
        });
        let mut ticket = Self { core: Arc::clone(core), bytes: 0, settled: false };
        if fits && ticket.resize(bytes) {
            return Some(ticket);
        }
        ticket.refuse();
        None
    }

    /// Counts that the letter has `bytes` now. Returns `false`, and counts nothing, if that is too much together with all
    /// others. A single letter is never too much: the store decides on its size.
    pub(super) fn resize(&mut self, bytes: u64) -> bool {
        let most = self.core.settings.max_parking_bytes;
        let fits = self.core.count(|counts| {
            let others = counts.parking_bytes - self.bytes;
            let all = others.saturating_add(bytes);
            let fits = others == 0 || all <= most;
            if fits {
                counts.parking_bytes = all;
            }
            fits
        });
        if fits {
            self.bytes = bytes;
        }
        fits
    }

    /// Counts the letter as dropped, because too much is on its way.
    pub(super) fn refuse(self) {
        let most = self.core.settings.max_parking_bytes;
        let why = format_args!(
            "{MAX_PARKING} letters or {most} bytes (`max_parking_bytes`) are already on their way to the store"
        );
        self.settle(Err(DropReason::Busy), &why);
    }

    /// Counts how parking ended. `why` explains a drop in the log.
    pub(super) fn settle(mut self, end: Result<Put, DropReason>, why: &dyn Display) {
        self.count(end, why);
    }

    fn count(&mut self, end: Result<Put, DropReason>, why: &dyn Display) {
        self.settled = true;
        let dropped = self.core.count(|counts| {
            counts.parking -= 1;
            counts.parking_bytes -= self.bytes;
            match end.and_then(|put| if put == Put::Full { Err(DropReason::Full) } else { Ok(put) }) {
                Ok(put) => {
                    counts.parked += 1;
                    match put {
                        Put::Kept { evicted } => counts.evicted += evicted,
                        Put::Spilled(reason) => counts.count_spilled(reason),
                        Put::Full => {}
                    }
                    None
                }
                Err(reason) => {
                    let count = counts.dropped.get_mut(reason as usize)?;
                    *count += 1;
                    Some((reason, *count))
                }
            }
        });
        // Logged each time the number doubles, so that a store that is down does not fill the log.
        if let Some((reason, count)) = dropped
            && count.is_power_of_two()
        {
            tracing::warn!(
                queue = &*self.core.name,
                reason = reason.as_str(),
                dropped = count,
                "dead letters were dropped: {why}"
            );
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if std::thread::panicking() {
            self.count(Err(DropReason::Panic), &"the store panicked");
        } else {
            self.count(Err(DropReason::Runtime), &"there is no Tokio runtime, or it was shut down");
        }
    }
}

/// Counts a parked letter that cannot be sent.
pub(super) fn count_unsendable(core: &Core, why: Unsendable) {
    let count = core.count(|counts| {
        let count = counts.unsendable.get_mut(why as usize)?;
        *count += 1;
        Some(*count)
    });
    // The other reasons follow from the settings.
    if why == Unsendable::EvidenceOnly && count.is_some_and(u64::is_power_of_two) {
        tracing::warn!(
            queue = &*core.name,
            letters = count,
            "dead letters cannot be sent again and are evidence only, because their type of request cannot be restored from JSON"
        );
    }
}

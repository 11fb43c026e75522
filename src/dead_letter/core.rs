//! What the handle and its layers share.

use std::sync::Arc;

use super::asking::Latency;
use super::housekeeping::House;
use super::redact::LetterRedactor;
use super::redrive::Redrives;
use super::settings::DeadLetterSettings;
use super::snapshot::{DropReason, QueueSnapshot};
use super::unsendable::Unsendable;
use crate::base::sync::Mutex;
use crate::signal::{self, Identity};
use crate::store::{Limits, Put, Store};

/// Letters on their way to the store at one time. A store that hangs must not fill the memory.
pub(super) const PARKING: u64 = 10_000;

#[derive(Debug)]
pub(super) struct Core {
    pub(super) name: Arc<str>,
    pub(super) component: Arc<str>,
    pub(super) settings: DeadLetterSettings,
    pub(super) store: Arc<dyn Store>,
    pub(super) redactor: LetterRedactor,
    /// What the settings and the environment say about this process.
    pub(super) identity: Identity,
    pub(super) redrives: Redrives,
    pub(super) latency: Latency,
    pub(super) house: House,
    /// In one lock, so that the sum is right at every moment. Touched by failures only.
    counts: Mutex<QueueSnapshot>,
}

impl Core {
    pub(super) fn new(
        name: Arc<str>,
        settings: DeadLetterSettings,
        redactor: LetterRedactor,
        store: Arc<dyn Store>,
    ) -> Arc<Self> {
        let core = Arc::new(Self {
            component: settings.component.as_deref().map_or_else(|| Arc::clone(&name), Into::into),
            name,
            redactor,
            identity: settings.identity(),
            settings,
            store,
            redrives: Redrives::default(),
            latency: Latency::default(),
            house: House::default(),
            counts: Mutex::new(QueueSnapshot::default()),
        });
        signal::register(&core);
        core.attach();
        core
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            capacity: self.settings.capacity,
            bytes: self.settings.max_bytes,
            when_full: self.settings.when_full,
        }
    }

    pub(super) fn count<T>(&self, change: impl FnOnce(&mut QueueSnapshot) -> T) -> T {
        change(&mut self.counts.lock())
    }

    /// Counts a final failure that goes to the store now; `false` when too many do already.
    pub(super) fn begin(&self) -> bool {
        self.count(|counts| {
            counts.failures += 1;
            counts.parking += 1;
            counts.parking <= PARKING
        })
    }

    /// Counts a parked letter that cannot be sent.
    pub(super) fn count_unsendable(&self, why: Unsendable) {
        let count = self.count(|counts| {
            let count = counts.unsendable.get_mut(why as usize)?;
            *count += 1;
            Some(*count)
        });
        // The others are as the settings ask.
        if why == Unsendable::EvidenceOnly && count.is_some_and(u64::is_power_of_two) {
            tracing::warn!(
                queue = &*self.name,
                letters = count,
                "dead letters are evidence only: JSON does not hold their requests, and they cannot be sent again"
            );
        }
    }

    /// Counts that a letter on its way takes `now` bytes in place of `before`; `false`, and nothing counted, when that is
    /// too much with all others. One letter alone is never too much: its size is the store's to judge.
    pub(super) fn weigh(&self, before: u64, now: u64) -> bool {
        self.count(|counts| {
            let others = counts.parking_bytes - before;
            let all = others.saturating_add(now);
            let fits = others == 0 || all <= self.settings.max_parking_bytes;
            if fits {
                counts.parking_bytes = all;
            }
            fits
        })
    }

    /// Counts how a failure that began to be parked ended, of which `bytes` were counted.
    pub(super) fn settle(&self, end: Result<Put, DropReason>, bytes: u64, why: &dyn std::fmt::Display) {
        let dropped = self.count(|counts| {
            counts.parking -= 1;
            counts.parking_bytes -= bytes;
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
        // Each time the number doubles: a store that is down must not fill the log as well.
        if let Some((reason, count)) = dropped
            && count.is_power_of_two()
        {
            tracing::warn!(
                queue = &*self.name,
                reason = reason.as_str(),
                dropped = count,
                "failed requests could not be parked: {why}"
            );
        }
    }
}

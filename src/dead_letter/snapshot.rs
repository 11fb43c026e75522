//! What a queue has counted.

use std::time::SystemTime;

use super::unsendable::Unsendable;
use crate::store::SpillReason;

words! {
    /// Why a request that failed for good was not parked.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum DropReason {
        /// The queue is full and refuses new letters.
        Full = "full",
        /// The store did not answer within 30 seconds.
        Timeout = "timeout",
        /// The store failed.
        Store = "store",
        /// The store panicked.
        Panic = "panic",
        /// Too many letters were on their way to the store already: 10,000, or
        /// [`max_parking_bytes`](super::DeadLetterSettings::max_parking_bytes) of them.
        Busy = "busy",
        /// The request could not be written by serde.
        Unserializable = "unserializable",
        /// The runtime ended, or there was none.
        Runtime = "runtime",
    }
    /// The reason as a metric attribute: one word in snake case.
    pub as_str;
    /// Every reason.
    pub ALL;
}

/// What a queue has counted since it was made, at one moment.
///
/// `failures` is always `parked` + [`QueueSnapshot::dropped_total`] + `parking`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueSnapshot {
    /// Requests that failed for good.
    pub failures: u64,
    /// Those that were parked.
    pub parked: u64,
    /// Those on their way to the store.
    pub parking: u64,
    /// The bytes of those, as far as their size is known.
    pub parking_bytes: u64,
    /// Callers that got their result before their letter was safe, because the park timeout was over.
    pub late: u64,
    /// Those that were lost, by the reason's place in [`DropReason::ALL`].
    pub(super) dropped: [u64; DropReason::ALL.len()],
    /// Parked letters that went to the spill, by the reason's place in [`SpillReason::ALL`].
    pub(super) spilled_for: [u64; SpillReason::ALL.len()],
    /// Parked letters that cannot be sent as they were, by the reason's place in [`Unsendable::ALL`].
    pub(super) unsendable: [u64; Unsendable::ALL.len()],
    /// Parked letters that a full queue gave up for newer ones.
    pub evicted: u64,
    /// Parked letters whose time was over.
    pub expired: u64,
    /// Letters that were sent again and got through.
    pub redriven: u64,
    /// Times that a letter was sent again and failed.
    pub redrive_failures: u64,
    /// Letters that were set aside, because redrives failed them too often or cannot send them.
    pub set_aside: u64,
    /// Those that redrives cannot send.
    pub set_aside_unsendable: u64,
    /// Letters that a purge removed.
    pub purged: u64,
    /// Parked letters that the store lost, in whole or in part, as this process found out.
    pub lost: u64,
    /// How often this process found that the store had lost a part of the queue, and put what is left in order.
    pub store_repairs: u64,
    /// Letters that wait, as far as this process knows.
    pub waiting: u64,
    /// When the oldest of them was parked.
    pub oldest: Option<SystemTime>,
    /// The bytes of those letters.
    pub bytes: u64,
    /// Letters that wait in the spill until the store can take them. They are not among those that wait, and no list
    /// shows them.
    pub spilled: u64,
    /// The bytes that the files of the queue take of the disk, if it has any.
    pub file_size: Option<u64>,
}

impl QueueSnapshot {
    /// Requests lost for `reason`.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// Parked letters that went to the spill for `reason`.
    #[must_use]
    pub fn spilled_for(&self, reason: SpillReason) -> u64 {
        self.spilled_for.get(reason as usize).copied().unwrap_or(0)
    }

    /// Parked letters of which it was known then that they cannot be sent, for `reason`.
    #[must_use]
    pub fn unsendable(&self, reason: Unsendable) -> u64 {
        self.unsendable.get(reason as usize).copied().unwrap_or(0)
    }

    pub(super) fn count_spilled(&mut self, reason: SpillReason) {
        if let Some(count) = self.spilled_for.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// Requests lost for whatever reason.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }
}

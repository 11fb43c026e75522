//! The counters of a queue.

use std::time::SystemTime;

use super::letter::Unsendable;
use crate::store::SpillReason;

words! {
    /// Why the letter of a request that failed for good was dropped instead of parked.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum DropReason {
        /// The queue is full and takes no new letters.
        Full = "full",
        /// The store did not answer within 30 seconds.
        Timeout = "timeout",
        /// The store failed.
        Store = "store",
        /// The store panicked.
        Panic = "panic",
        /// Too many letters were on their way to the store: 10,000, or
        /// [`max_parking_bytes`](super::DeadLetterSettings::max_parking_bytes) of them.
        Busy = "busy",
        /// Serde could not serialize the request.
        Unserializable = "unserializable",
        /// The Tokio runtime was shut down, or there was none.
        Runtime = "runtime",
    }
    /// The reason as a metric attribute: one word in snake case.
    pub(crate) as_str;
    /// Every reason.
    pub(crate) ALL;
}

/// The counters of a queue since it was built, at one moment: see
/// [`DeadLetterQueue::snapshot`](crate::DeadLetterQueue::snapshot).
///
/// `failures` is always `parked` + [`QueueSnapshot::dropped_total`] + `parking`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueSnapshot {
    /// Requests that failed for good.
    pub failures: u64,
    /// Failed requests that were parked.
    pub parked: u64,
    /// Letters on their way to the store.
    pub parking: u64,
    /// The bytes of the letters on their way to the store, as far as their size is known.
    pub parking_bytes: u64,
    /// Callers that got their result before the store had acknowledged the letter, because the park timeout was over.
    pub late: u64,
    /// Dropped letters, indexed as [`DropReason::ALL`].
    pub(super) dropped: [u64; DropReason::ALL.len()],
    /// Parked letters that went to the spill, indexed as [`SpillReason::ALL`].
    pub(super) spilled_for: [u64; SpillReason::ALL.len()],
    /// Parked letters that cannot be sent as they were, indexed as [`Unsendable::ALL`].
    pub(super) unsendable: [u64; Unsendable::ALL.len()],
    /// Parked letters that a full queue removed to make room for newer ones.
    pub evicted: u64,
    /// Parked letters that expired.
    pub expired: u64,
    /// Letters that were sent again and succeeded.
    pub redriven: u64,
    /// How often a letter was sent again and failed.
    pub redrive_failures: u64,
    /// Letters that were set aside, because they failed in too many redrives or cannot be sent.
    pub set_aside: u64,
    /// Letters that were set aside because they cannot be sent.
    pub set_aside_unsendable: u64,
    /// Letters that a purge removed.
    pub purged: u64,
    /// Parked letters that the store lost, in whole or in part, as far as this process found out.
    pub lost: u64,
    /// How often this process found that the store had lost a part of the queue, and repaired the rest.
    pub store_repairs: u64,
    /// Letters that wait in the store, as far as this process knows.
    pub waiting: u64,
    /// When the oldest waiting letter was parked.
    pub oldest: Option<SystemTime>,
    /// The bytes of all waiting letters.
    pub bytes: u64,
    /// Letters that wait in the spill until the store takes them. `waiting` and lists do not include them.
    pub spilled: u64,
    /// The bytes of the queue's files on disk, if it has any.
    pub file_size: Option<u64>,
}

impl QueueSnapshot {
    /// Letters that were dropped for `reason`.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// Parked letters that went to the spill for `reason`.
    #[must_use]
    pub fn spilled_for(&self, reason: SpillReason) -> u64 {
        self.spilled_for.get(reason as usize).copied().unwrap_or(0)
    }

    /// Parked letters that cannot be sent for `reason`, as far as that was known when they were parked.
    #[must_use]
    pub fn unsendable(&self, reason: Unsendable) -> u64 {
        self.unsendable.get(reason as usize).copied().unwrap_or(0)
    }

    pub(super) fn count_spilled(&mut self, reason: SpillReason) {
        if let Some(count) = self.spilled_for.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// Letters that were dropped, for all reasons together.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }
}

//! The state of a queue, for metrics.

use std::time::SystemTime;

/// The state of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Entries that wait in the store.
    pub waiting: u64,
    /// When the oldest of them was parked.
    pub oldest: Option<SystemTime>,
    /// The sum of their sizes, by [`Entry::size`](super::Entry::size).
    pub bytes: u64,
    /// Entries in the spill. [`Depth::waiting`] does not include them.
    pub spilled: u64,
    /// Entries that were removed to make room since the store was opened and that no [`Put::Kept`](super::Put::Kept)
    /// reported.
    pub evicted: u64,
    /// The size in bytes of the store's file, its log and its spill, if they are files of this machine. The reserve is
    /// not included.
    pub file_size: Option<u64>,
    /// How often this process repaired the queue after the server had lost a part of it.
    pub repairs: u64,
    /// Entries that were lost then, in whole or in part.
    pub lost: u64,
}

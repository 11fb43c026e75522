//! What a store may keep of a queue, and the result of a put. Each store decides itself what a full queue does:
//! `memory/queue.rs`, `sqlite/change.rs`, `redis/lua/put.lua`, `spill/store.rs`.

use serde::{Deserialize, Serialize};

/// How much of one queue a store keeps, and what it does with more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest number of entries.
    pub capacity: u64,
    /// The largest sum of [`Entry::size`](super::Entry::size).
    pub bytes: u64,
    /// What the store does when an entry exceeds one of the limits.
    pub when_full: WhenFull,
}

/// What a full queue does with one more letter. Letters that are refused or dropped are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenFull {
    /// Refuses the new letter. The first letters of an outage explain it best.
    #[default]
    RefuseNew,
    /// Removes the letter that arrived first.
    DropOldest,
    /// Puts the new letter into the spill, a file beside the store. It moves to the store when that has room.
    Spill,
}

/// The result of [`Store::put`](super::Store::put).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The store keeps the entry.
    Kept {
        /// How many older entries were removed to make room.
        evicted: u64,
    },
    /// The spill keeps the entry until the store can take it.
    Spilled(SpillReason),
    /// The queue is full. The entry is not kept.
    Full,
}

words! {
    /// Why an entry went to the spill.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum SpillReason {
        /// The queue is full.
        Full = "full",
        /// The store failed, or failed a moment ago and was not asked again.
        Error = "error",
        /// The store did not answer in time, or did not a moment ago and was not asked again.
        Timeout = "timeout",
    }
    /// The reason as a metric attribute: one word in snake case.
    pub(crate) as_str;
    /// Every reason.
    pub(crate) ALL;
}

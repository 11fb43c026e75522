//! Where dead letters lie.
//!
//! A queue needs little of a store: keep an entry, give it back, remove it when it is dealt with. What a letter
//! says is the queue's business; a store sees an [`Entry`], which is a few fields to filter by and bytes. So
//! one trait carries memory, a file and a server, and a test can bring a store that misbehaves.
//!
//! # Example
//! ```
//! use campanile::store::{LetterFilter, MemoryStore, Store};
//!
//! # tokio_test::block_on(async {
//! let store = MemoryStore::default();
//! assert!(store.list("orders", &LetterFilter::all()).await?.is_empty());
//! # Ok::<_, campanile::store::StoreError>(()) }).unwrap();
//! ```

mod claim;
mod entry;
pub(crate) mod error;
mod filter;
mod group;
mod guard;
mod ids;
mod memory;
mod record;
#[cfg(feature = "redis")]
mod redis;
mod spill;
#[cfg(feature = "sqlite")]
mod sqlite;
mod steady;

pub use claim::{Claim, Settled};
pub use entry::Entry;
pub use error::{ParseIdError, StoreError};
pub use filter::LetterFilter;
pub use group::{Frequency, Group, LONGEST_LOOK_BACK};
pub(crate) use guard::guarded;
pub use ids::{Fingerprint, LetterId, Owner};
pub use memory::MemoryStore;
pub use record::{PURGES_KEPT, PurgeRecord};
#[cfg(all(feature = "redis", feature = "telemetry"))]
pub(crate) use redis::{Ping, answered};
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use redis::{RedisSettings, RedisStore, RedisStoreBuilder};
pub use spill::SpillSettings;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use spill::SpillStore;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use sqlite::SqliteStore;
#[cfg(all(feature = "checks", feature = "sqlite"))]
pub(crate) use sqlite::is_replaced;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// What a [`Store`] answers with: it is boxed, because a store is chosen at run time and called only after a
/// request has failed.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Keeps entries, each under the name of a queue; several queues may share one store.
///
/// A queue guards itself against a store that is slow, fails or panics, as long as the store does not block
/// the thread that polls it.
///
/// Every filter's limit is the most entries that are meant, the oldest first; for groups it is the most groups.
pub trait Store: Any + fmt::Debug + Send + Sync {
    /// Keeps `entry`, and answers when it is as safe as it will ever be. An id that is there already is the same
    /// entry, put twice: the one that is there stays.
    ///
    /// A store that can should not keep an entry whose future was dropped before.
    fn put(&self, entry: Entry, limits: Limits) -> Pending<'_, Put>;

    /// The entry `id`.
    fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>>;

    /// The entries that `filter` lets through, oldest first.
    fn list<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Entry>>;

    /// Counts the entries that `filter` lets through, those of other processes included.
    fn count<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, u64>;

    /// The entries that `filter` lets through by what caused them, the largest group first.
    fn groups<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Group>>;

    /// How often something failed within `last`, to the minute, the most frequent first. It looks back
    /// [`LONGEST_LOOK_BACK`] at most, and counts entries that were put and those that [`Settled::Failed`] brought. Causes
    /// beyond 256 of a minute share one: [`Fingerprint::OTHER`].
    fn frequencies<'a>(&'a self, queue: &'a str, last: Duration) -> Pending<'a, Vec<Frequency>>;

    /// Gives the oldest entries that `filter` lets through and nobody holds to an owner, and holds them for it. No
    /// entry is ever held by two. Of more than a thousand that have become due, those that have been due for longest may
    /// come first.
    ///
    /// What has expired is left out, and so is what is set aside unless the filter asks for it. [`Claim::bytes`] bounds
    /// what the answer takes of the memory.
    fn claim<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter, claim: Claim)
    -> Pending<'a, Vec<Entry>>;

    /// Holds `ids` for another lease from now; gives those that the owner still holds.
    fn renew<'a>(&'a self, queue: &'a str, ids: &'a [LetterId], claim: Claim) -> Pending<'a, Vec<LetterId>>;

    /// Writes down what became of entries that `owner` held; tells of each whether there was something to do. All
    /// that came in at once may share one write.
    fn settle<'a>(&'a self, queue: &'a str, owner: Owner, settled: Vec<Settled>) -> Pending<'a, Vec<bool>>;

    /// Removes the entries that `record` has a filter for and keeps the record; gives it back with their number.
    fn purge<'a>(&'a self, queue: &'a str, record: PurgeRecord) -> Pending<'a, PurgeRecord>;

    /// The last [`PURGES_KEPT`] purges, the latest first.
    fn purges<'a>(&'a self, queue: &'a str) -> Pending<'a, Vec<PurgeRecord>>;

    /// Removes the entries that have expired at `now`, by the wall clock of this process, and tells how many they were.
    fn expire<'a>(&'a self, queue: &'a str, now: SystemTime) -> Pending<'a, u64>;

    /// How a queue stands as far as this process knows. Someone is collecting metrics: it must not wait.
    fn depth(&self, queue: &str) -> Depth;

    /// Tells that a queue is in use from now on, and how much of it is to be kept: for a store that does something
    /// by itself.
    fn attach(&self, queue: &str, limits: Limits) {
        let _ = (queue, limits);
    }
}

/// How much of one queue a store keeps, and what it does beyond that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest number of entries.
    pub capacity: u64,
    /// The most bytes of all of them, by [`Entry::size`].
    pub bytes: u64,
    /// What happens to one more.
    pub when_full: WhenFull,
}

/// What a full queue does with one more letter. What it costs is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenFull {
    /// The new letter is refused: the beginning of an outage explains it best.
    #[default]
    RefuseNew,
    /// The letter that came first makes room: the newest matter most.
    DropOldest,
    /// The new letter goes to the spill, a file beside the store, and from there to the store once it has room.
    Spill,
}

/// What became of an entry that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is kept, and this many older ones went to make room.
    Kept {
        /// How many went.
        evicted: u64,
    },
    /// It is kept in the spill, until the store can take it.
    Spilled(SpillReason),
    /// The queue is full.
    Full,
}

words! {
    /// Why an entry went to the spill.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum SpillReason {
        /// The queue is full.
        Full = "full",
        /// The store failed, or had failed a moment ago.
        Error = "error",
        /// The store did not answer in time, or had not a moment ago.
        Timeout = "timeout",
    }
    /// The reason as a metric attribute: one word in snake case.
    pub as_str;
    /// Every reason.
    pub ALL;
}

/// How a queue stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Entries that wait.
    pub waiting: u64,
    /// When the oldest of them was parked.
    pub oldest: Option<SystemTime>,
    /// The bytes of all of them, by [`Entry::size`].
    pub bytes: u64,
    /// Entries in the spill, which are not among those that wait.
    pub spilled: u64,
    /// Entries that gave way to others since the store was opened, other than by a put that told of it.
    pub evicted: u64,
    /// The bytes of the store's file, its log and its spill, if it is a file of this machine; without the reserve.
    pub file_size: Option<u64>,
    /// How often this process found that a part of the queue was lost, and put what is left in order.
    pub repairs: u64,
    /// Entries that it found lost then, in whole or in part.
    pub lost: u64,
}

//! Where dead letters lie.
//!
//! A queue needs little of a store: keep an entry, give it back, remove it when it is dealt with. What a letter
//! says is the queue's business; a store sees an [`Entry`], which is a few fields to filter by and bytes. So
//! one trait carries memory, a file and a server, and a test can bring a store that misbehaves.
//!
//! # Example
//! ```
//! use campanile::store::{Filter, MemoryStore, Store};
//!
//! # tokio_test::block_on(async {
//! let store = MemoryStore::default();
//! assert!(store.list("orders", &Filter::all()).await?.is_empty());
//! # Ok::<_, campanile::store::StoreError>(()) }).unwrap();
//! ```

mod entry;
pub(crate) mod error;
mod filter;
mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use entry::{Entry, Fingerprint, LetterId};
pub use error::{ParseIdError, StoreError};
pub use filter::Filter;
pub use memory::MemoryStore;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use sqlite::SqliteStore;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// What a [`Store`] answers with: it is boxed, because a store is chosen at run time and called only after a
/// request has failed.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Keeps entries, each under the name of a queue; several queues may share one store.
///
/// A queue guards itself against a store that is slow, fails or panics, as long as the store does not block
/// the thread that polls it.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Keeps `entry`, and answers when it is as safe as it will ever be.
    ///
    /// A store that can should not keep an entry whose future was dropped before.
    fn put(&self, entry: Entry, limits: Limits) -> Pending<'_, Put>;

    /// The entry `id`.
    fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>>;

    /// The entries that `filter` lets through, oldest first.
    fn list<'a>(&'a self, queue: &'a str, filter: &'a Filter) -> Pending<'a, Vec<Entry>>;

    /// Puts `entry` in the place of the one with its id; `false` when there is none any more.
    fn replace(&self, entry: Entry) -> Pending<'_, bool>;

    /// Removes an entry; `false` when there is none any more.
    fn remove<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, bool>;

    /// Removes the entries that `filter` lets through and tells how many they were.
    fn purge<'a>(&'a self, queue: &'a str, filter: &'a Filter) -> Pending<'a, u64>;

    /// Counts the entries of a queue, those of other processes included.
    fn count<'a>(&'a self, queue: &'a str) -> Pending<'a, u64>;

    /// How a queue stands as far as this process knows. Someone is collecting metrics: it must not wait.
    fn depth(&self, queue: &str) -> Depth;
}

/// How much of one queue a store keeps, and what it does beyond that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest number of entries.
    pub capacity: u64,
    /// What happens to one more.
    pub when_full: WhenFull,
}

/// What a full queue does with one more letter. Either way something is lost, and counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhenFull {
    /// The new letter is refused: the beginning of an outage explains it best.
    #[default]
    RefuseNew,
    /// The oldest letter makes room: the newest matter most.
    DropOldest,
}

/// What became of an entry that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is kept, and this many older ones went to make room.
    Kept {
        /// How many went.
        evicted: u64,
    },
    /// The queue is full.
    Full,
}

/// How a queue stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Entries that wait.
    pub waiting: u64,
    /// When the oldest of them was parked.
    pub oldest: Option<SystemTime>,
}

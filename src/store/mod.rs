//! Where dead letters are kept: in memory, in a SQLite file or in Redis.
//!
//! Start with [`Store`], the trait that all of them implement. A store sees a letter as an [`Entry`]: a few fields to
//! filter by, and bytes. It does not interpret the bytes; the queue does. To keep letters elsewhere, implement [`Store`]
//! and pass it to [`DeadLetterQueueBuilder::open`](crate::dead_letter::DeadLetterQueueBuilder::open).
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
mod clock;
mod depth;
mod entry;
pub(crate) mod error;
mod filter;
mod group;
mod guarded;
mod ids;
mod memory;
mod purge;
mod put;
#[cfg(feature = "redis")]
mod redis;
mod spill;
#[cfg(feature = "sqlite")]
mod sqlite;
mod store_trait;

pub use claim::{Claim, Settled};
pub use depth::Depth;
pub use entry::Entry;
pub use error::StoreError;
pub use filter::LetterFilter;
pub use group::{Frequency, Group};
pub(crate) use guarded::guarded;
pub use ids::{Fingerprint, LetterId, Owner};
pub use memory::MemoryStore;
pub use purge::PurgeRecord;
pub use put::{Limits, Put, SpillReason, WhenFull};
#[cfg(all(feature = "redis", feature = "telemetry"))]
pub(crate) use redis::{Ping, answered};
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use redis::{RedisSettings, RedisStore, RedisStoreBuilder};
pub use spill::SpillSettings;
#[cfg(feature = "sqlite")]
#[doc(hidden)] // `DeadLetterQueueBuilder::spill` makes one.
pub use spill::SpillStore;
#[cfg(feature = "sqlite")]
#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
pub use sqlite::SqliteStore;
#[cfg(all(feature = "checks", feature = "sqlite"))]
pub(crate) use sqlite::is_replaced;
pub use store_trait::{Pending, Store};

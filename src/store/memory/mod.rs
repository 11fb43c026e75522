//! A store in memory. Start with [`MemoryStore`] in `store.rs`; `queue.rs` holds the letters of one queue and `search.rs`
//! finds them.

mod queue;
mod search;
mod store;

pub use store::MemoryStore;

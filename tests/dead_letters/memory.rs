//! The store in memory keeps to what is asked of every store.

use campanile::store::MemoryStore;

crate::store_checks::store_contract!((MemoryStore::default(), ()));

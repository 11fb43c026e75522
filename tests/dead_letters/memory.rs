//! The store in memory fulfils the contract of every store.

use campanile::store::MemoryStore;

crate::store_checks::store_contract!((MemoryStore::default(), ()));

//! The store in a file fulfils the contract of every store.

use campanile::store::SqliteStore;

crate::store_checks::store_contract! {{
    let folder = tempfile::tempdir().unwrap();
    (SqliteStore::open(folder.path().join("letters.db")).await.unwrap(), folder)
}}

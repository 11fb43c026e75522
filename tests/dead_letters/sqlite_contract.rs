//! The file means what every store means.

use campanile::store::SqliteStore;

crate::store_checks::store_contract! {{
    let folder = tempfile::tempdir().unwrap();
    (SqliteStore::open(folder.path().join("letters.db")).await.unwrap(), folder)
}}

//! Opening the file.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags};

use super::errors::{corrupt, explain, foreign, newer_schema, unwritable};
use super::schema::{APPLICATION, VERSION, migrate};
use super::{copy, file};
use crate::store::StoreError;

/// How long to wait for the lock of another process that writes.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for the lock of another process that changes the schema.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(120);

/// The number of prepared statements that a connection caches. It is larger than the number of statements.
const STATEMENTS: usize = 128;

/// The size in bytes up to which a file is checked page by page when it is opened. A larger file would delay the start.
const CHECKED: u64 = 32 * 1024 * 1024;

/// Opens a connection that writes to an existing file.
pub(super) fn writer(path: &Path) -> Result<Connection, StoreError> {
    let failed = |error| explain(path, "open", error);
    let connection = connect(path).map_err(failed)?;
    // SQLite opens a file without write permission as read-only, and does not fail.
    if connection.is_readonly(MAIN_DB).map_err(failed)? {
        return Err(unwritable(path, io::ErrorKind::PermissionDenied.into()));
    }
    prepare(path, connection)
}

/// Opens a connection that reads.
pub(super) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let connection = connect(path)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    open().map_err(|error| explain(path, "open", error))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // SQLite then plans a statement once. Otherwise it would plan it again for each lane, because of the partial indexes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

struct Header {
    version: i32,
    application: i32,
    tables: i32,
}

impl Header {
    /// Reads the header in one transaction. Another process may be creating the file, and a mix of old and new values
    /// would look like the file of another program.
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let snapshot = connection.unchecked_transaction()?;
        let number = |sql| snapshot.query_row(sql, [], |row| row.get::<_, i32>(0));
        // The first statement takes the lock of the transaction.
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        Ok(Self {
            version: number("PRAGMA user_version")?,
            application: number("PRAGMA application_id")?,
            tables,
        })
    }

    fn is_foreign(&self) -> bool {
        self.application != APPLICATION && (self.version != 0 || self.tables != 0)
    }
}

fn prepare(path: &Path, mut connection: Connection) -> Result<Connection, StoreError> {
    let failed = |error| explain(path, "open", error);
    let header = Header::read(&connection).map_err(failed)?;
    if header.is_foreign() {
        return Err(foreign(path));
    }
    file::secure(path)?;
    if header.version > VERSION {
        return Err(newer_schema(path, header.version, VERSION));
    }
    check(path, &connection)?;

    // `auto_vacuum` only takes effect in a file without tables.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(failed)?;
    write_ahead(&connection).map_err(failed)?;
    // `log.rs` syncs the log after a commit.
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    connection.query_row("PRAGMA journal_size_limit = 67108864", [], |_| Ok(())).map_err(failed)?;
    // In KiB. The pages of one commit should fit.
    connection.pragma_update(None, "cache_size", -16_384).map_err(failed)?;

    // Another process may be migrating a large file.
    let old = (1..VERSION).contains(&header.version);
    connection.busy_timeout(if old { MIGRATION_TIMEOUT } else { LOCK_TIMEOUT }).map_err(failed)?;
    let mut copied = None;
    let migrated = migrate(&mut connection, |version| {
        // This connection holds the lock. Another one still reads the state before the transaction.
        copied = Some(copy::make(path, version, &connect(path)?).map_err(copy::Fault::Copy)?);
        Ok(())
    });
    let version = migrated.map_err(|fault| {
        if let Some(copied) = &copied {
            copied.discard();
        }
        match fault {
            copy::Fault::Sqlite(error) => failed(error),
            copy::Fault::Copy(error) => error,
        }
    })?;
    connection.busy_timeout(LOCK_TIMEOUT).map_err(failed)?;
    if let Some(copied) = copied {
        tracing::warn!(
            target: "campanile::dead_letter",
            file = %path.display(),
            copy = %copied.path.display(),
            "the dead-letter file was migrated from schema version {version} to {VERSION}; delete the copy of the old file \
             when you no longer need to go back"
        );
    }
    // Once more: SQLite has created the files beside it by now.
    file::secure(path)?;
    if version > VERSION { Err(newer_schema(path, version, VERSION)) } else { Ok(connection) }
}

/// Switches the file to a write-ahead log. That needs an exclusive lock, for which SQLite itself does not wait.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    const PAUSE: Duration = Duration::from_millis(10);
    connection.busy_timeout(Duration::ZERO)?;
    let mut tries_left = LOCK_TIMEOUT.as_millis() / PAUSE.as_millis();
    loop {
        let switched = connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()));
        match switched.as_ref().err().and_then(rusqlite::Error::sqlite_error_code) {
            Some(
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed,
            ) if tries_left > 0 => {
                tries_left -= 1;
                std::thread::sleep(PAUSE);
            }
            _ => {
                connection.busy_timeout(LOCK_TIMEOUT)?;
                return switched;
            }
        }
    }
}

/// Checks a small file for damage. Larger files are not checked.
pub(super) fn check(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let size = std::fs::metadata(path).map_err(|error| unwritable(path, error))?.len();
    if size > CHECKED {
        return Ok(());
    }
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| explain(path, "open", error))?;
    if found == "ok" { Ok(()) } else { Err(corrupt(path).with_source(found.replace('\n', " "))) }
}

//! Opening the file, and saying what is wrong with it.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags};

use super::schema::{APPLICATION, VERSION, migrate};
use super::{copy, file};
use crate::store::StoreError;
use crate::store::error::Kind;

/// How long to wait for another process that writes.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait for another process that changes the schema.
const MIGRATION: Duration = Duration::from_secs(120);

/// Statements that a connection keeps ready: more than there are.
const STATEMENTS: usize = 128;

/// A file up to this size is checked page by page at opening; a larger one would take too long for a start.
const CHECKED: u64 = 32 * 1024 * 1024;

/// The connection that writes, to a file that is there.
pub(super) fn writer(path: &Path) -> Result<Connection, StoreError> {
    let failed = |error| explain(path, "open", error);
    let connection = connect(path).map_err(failed)?;
    // SQLite opens what it may not write all the same.
    if connection.is_readonly(MAIN_DB).map_err(failed)? {
        return Err(unwritable(path, io::ErrorKind::PermissionDenied.into()));
    }
    prepare(path, connection)
}

/// The connection that reads.
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
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // A plan is made once. Without this, SQLite plans anew for each lane, in case that it is that of a partial index.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// What the header of a file says about it.
struct Header {
    version: i32,
    application: i32,
    tables: i32,
}

impl Header {
    /// Reads it in one go: another process may be making the file just now, and halves of before and after would look
    /// like a file of somebody else.
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let snapshot = connection.unchecked_transaction()?;
        let number = |sql| snapshot.query_row(sql, [], |row| row.get::<_, i32>(0));
        // The first one takes the lock that holds for all of them.
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
        let message = format!(
            "`{}` is a SQLite database of another program; give the letters a file of their own",
            path.display()
        );
        return Err(StoreError::new(Kind::Foreign, message));
    }
    file::secure(path)?;
    if header.version > VERSION {
        return Err(newer(path, header.version));
    }
    check(path, &connection)?;

    // Both only take hold in a file without tables. The journal mode is kept in the file.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(failed)?;
    write_ahead(&connection).map_err(failed)?;
    // What is more is done by `log.rs`.
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
    connection.query_row("PRAGMA journal_size_limit = 67108864", [], |_| Ok(())).map_err(failed)?;
    // In KiB: what one commit touches should fit.
    connection.pragma_update(None, "cache_size", -16_384).map_err(failed)?;

    // Another process may be at it, with a large file.
    let old = (1..VERSION).contains(&header.version);
    connection.busy_timeout(if old { MIGRATION } else { PATIENCE }).map_err(failed)?;
    let mut copied = None;
    let migrated = migrate(&mut connection, |version| {
        // The lock on the file is this connection's; another one reads what was there before.
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
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    if let Some(copied) = copied {
        tracing::warn!(
            target: "campanile::dead_letter",
            file = %path.display(),
            copy = %copied.path.display(),
            "a file of letters was brought from schema version {version} to {VERSION}; remove the copy of what it was once \
             you do not want to go back"
        );
    }
    // Once more: what lies beside the file is there by now.
    file::secure(path)?;
    if version > VERSION { Err(newer(path, version)) } else { Ok(connection) }
}

/// Makes the file one with a write-ahead log. That needs it for itself, and SQLite does not wait for that by itself.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    const PAUSE: Duration = Duration::from_millis(10);
    connection.busy_timeout(Duration::ZERO)?;
    let mut patience = PATIENCE.as_millis() / PAUSE.as_millis();
    loop {
        let switched = connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()));
        match switched.as_ref().err().and_then(rusqlite::Error::sqlite_error_code) {
            Some(
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed,
            ) if patience > 0 => {
                patience -= 1;
                std::thread::sleep(PAUSE);
            }
            _ => {
                connection.busy_timeout(PATIENCE)?;
                return switched;
            }
        }
    }
}

/// Looks for damage: everywhere in a small file, at what is always read in a large one.
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

fn newer(path: &Path, version: i32) -> StoreError {
    let message = format!(
        "`{}` has schema version {version}, and this version of campanile knows up to {VERSION}; \
         update campanile, or give it another file",
        path.display()
    );
    StoreError::new(Kind::NewerSchema, message)
}

fn corrupt(path: &Path) -> StoreError {
    let message = format!(
        "`{}` is damaged or is no SQLite database; move it away to start with a new one, \
         and try `sqlite3 FILE .recover` to get the letters out of it",
        path.display()
    );
    StoreError::new(Kind::Corrupt, message)
}

pub(super) fn unwritable(path: &Path, error: io::Error) -> StoreError {
    let message = format!(
        "cannot write letters to `{}`; its folder must exist, and the folder and the file must be writable",
        path.display()
    );
    StoreError::new(Kind::Unwritable, message).with_source(error)
}

/// The file, or one that SQLite keeps beside it, is not one to keep letters in.
pub(super) fn refused(path: &Path, why: &str) -> StoreError {
    let message = format!(
        "cannot write letters to `{}`: {why}; give the letters a plain file that belongs to the user of this process, \
         of mode 600",
        path.display()
    );
    StoreError::new(Kind::Unwritable, message)
}

pub(super) fn no_room(path: &Path, doing: &str) -> StoreError {
    let shown = path.display();
    let message = format!(
        "cannot {doing} `{shown}`: there is no room on its disk; make some, or send or purge letters"
    );
    StoreError::new(Kind::DiskFull, message)
}

/// What an error of SQLite means for the one who reads it.
pub(super) fn explain(path: &Path, doing: &str, error: rusqlite::Error) -> StoreError {
    let shown = path.display();
    let (kind, message) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            return corrupt(path).with_source(error);
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            (Kind::Unwritable, format!("cannot {doing} `{shown}`; the folder and the file must be writable"))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            Kind::Locked,
            format!(
                "cannot {doing} `{shown}`: another process holds a lock on it; end that process or wait for it"
            ),
        ),
        Some(ErrorCode::DiskFull) => return no_room(path, doing).with_source(error),
        _ => (Kind::Other, format!("cannot {doing} `{shown}`")),
    };
    StoreError::new(kind, message).with_source(error)
}

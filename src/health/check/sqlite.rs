//! SQLite.

use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags};
use serde::{Deserialize, Serialize};

use super::blocking::OneThread;
use super::words::{causes, short};
use super::{Check, Finding, IntoFinding, patience};
use crate::base::error::ConfigError;
use crate::base::sync::Mutex;
use crate::store::is_replaced;

/// Which file an [`SqliteCheck`] looks at, and how closely, as a file can hold it. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SqliteCheckSettings {
    /// The file. Has to be set.
    pub path: PathBuf,
    /// Whether to look at every page of it for damage, by `PRAGMA quick_check`. That takes a second for some hundreds of
    /// megabytes, so that it should not be done often. It ends with its run. Default: no.
    pub thorough: bool,
    /// How long to wait for somebody who holds a lock on it: more than zero and at most an hour. Default 4 s, less than
    /// what [`Every`](super::Every) gives a run, so that what is told names the lock.
    #[serde(with = "crate::base::duration")]
    pub timeout: Duration,
}

impl Default for SqliteCheckSettings {
    fn default() -> Self {
        Self { path: PathBuf::new(), thorough: false, timeout: patience::DEFAULT }
    }
}

/// Makes an [`SqliteCheck`]: see [`SqliteCheck::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SqliteCheckBuilder {
    settings: SqliteCheckSettings,
}

/// Opens a SQLite file, only to read, and reads its schema.
///
/// Every run opens it anew, since a connection would go on reading a file that somebody removed. It is made by nobody
/// and changed by nobody here. All of it happens on a thread that may block. For a connection of your own, see
/// [`BlockingCheck`](super::BlockingCheck).
///
/// # Example
/// ```
/// use campanile::health::SqliteCheck;
///
/// # fn main() -> Result<(), campanile::ConfigError> {
/// let there = SqliteCheck::new("/var/lib/shop/orders.db")?;
/// let whole = SqliteCheck::builder("/var/lib/shop/orders.db").thorough().build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SqliteCheck {
    settings: Arc<SqliteCheckSettings>,
    thread: OneThread,
}

/// Ends what is running when nobody waits for it any more.
#[derive(Default)]
struct Waiting(Arc<Mutex<Running>>);

#[derive(Default)]
enum Running {
    #[default]
    NotYet,
    Now(InterruptHandle),
    /// Nobody waits for it any more.
    ForNobody,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Running::Now(running) = mem::replace(&mut *self.0.lock(), Running::ForNobody) {
            running.interrupt();
        }
    }
}

impl SqliteCheck {
    /// Looks at the file at `path`.
    ///
    /// # Errors
    /// When the path is empty.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        Self::builder(path).build()
    }

    /// A check of the file at `path`, to be set up.
    pub fn builder(path: impl Into<PathBuf>) -> SqliteCheckBuilder {
        SqliteCheckBuilder {
            settings: SqliteCheckSettings { path: path.into(), ..SqliteCheckSettings::default() },
        }
    }
}

impl Check for SqliteCheck {
    async fn check(&self) -> Finding {
        let settings = Arc::clone(&self.settings);
        let waiting = Waiting::default();
        let running = Arc::clone(&waiting.0);
        let looked = self.thread.run(move || look(&settings, &running)).await;
        looked.map_err(|stands| format!("`{}`: {stands}", self.settings.path.display())).into_finding()
    }
}

fn look(settings: &SqliteCheckSettings, running: &Mutex<Running>) -> Result<(), String> {
    let path = &settings.path;
    let failed = |error: rusqlite::Error| explain(settings, &error);
    // SQLite would say no more than that it cannot open it. Nothing but SQLite may open it here: POSIX takes away the
    // locks of a process on a file when the process closes any descriptor of it.
    match std::fs::metadata(path) {
        Ok(file) if file.is_file() => {}
        Ok(_) => return Err(format!("`{}` cannot be read: it is no plain file", path.display())),
        Err(error) => return Err(unreadable(path, &error)),
    }
    if is_replaced(path) {
        let shown = path.display();
        return Err(format!(
            "`{shown}` was replaced under the dead letters of this process, which have it open"
        ));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(settings.timeout).map_err(failed)?;
    {
        let mut running = running.lock();
        if matches!(*running, Running::ForNobody) {
            return Ok(());
        }
        *running = Running::Now(connection.get_interrupt_handle());
    }
    // A plain `SELECT 1` would not even look at the file.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(failed)?;
    if settings.thorough {
        let found: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if found != "ok" {
            return Err(format!("`{}` is damaged: {}", path.display(), short(&found)));
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no file `{}`", path.display()),
        _ => format!("`{}` cannot be read: {error}", path.display()),
    }
}

fn explain(settings: &SqliteCheckSettings, error: &rusqlite::Error) -> String {
    let shown = settings.path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            format!("`{shown}` is damaged or no SQLite database: {}", causes(error))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("somebody held a lock on `{shown}` for more than {:?}", settings.timeout)
        }
        _ => format!("`{shown}` cannot be read: {}", causes(error)),
    }
}

impl SqliteCheckBuilder {
    setters! {
        /// Takes all settings from `settings`, the path too.
        pub fn settings(settings: SqliteCheckSettings) { settings = settings; }
        /// Looks at every page, too: see [`SqliteCheckSettings::thorough`].
        pub fn thorough() { settings.thorough = true; }
        /// How long to wait for a lock, 4 s unless set.
        pub fn timeout(timeout: Duration) { settings.timeout = timeout; }
    }

    /// The check.
    ///
    /// # Errors
    /// When a setting is out of its range.
    pub fn build(self) -> Result<SqliteCheck, ConfigError> {
        let settings = self.settings;
        patience::validate(settings.timeout)?;
        ConfigError::check(
            !settings.path.as_os_str().is_empty(),
            "path",
            &settings.path,
            "the path of a file",
        )?;
        Ok(SqliteCheck { settings: Arc::new(settings), thread: OneThread::default() })
    }
}

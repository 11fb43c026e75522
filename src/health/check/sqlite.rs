//! Checks of SQLite files.

use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags};
use serde::{Deserialize, Serialize};

use super::blocking::SingleThread;
use super::check_trait::Check;
use super::finding::Finding;
use super::text::{error_chain, one_line};
use super::timeouts;
use crate::base::error::ConfigError;
use crate::base::sync::Mutex;
use crate::store::is_replaced;

/// The settings of a [`SqliteCheck`], as a file can hold them. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[must_use]
pub struct SqliteCheckSettings {
    /// The database file. Required.
    pub path: PathBuf,
    /// Whether to search every page for damage, by `PRAGMA quick_check`. That takes about a second for some hundreds of
    /// megabytes, so it should not run often. Default: `false`.
    pub thorough: bool,
    /// The longest time to wait for a lock that another connection holds: more than zero and at most an hour. Default: 4 s.
    #[serde(with = "crate::base::duration")]
    pub timeout: Duration,
}

impl Default for SqliteCheckSettings {
    fn default() -> Self {
        Self { path: PathBuf::new(), thorough: false, timeout: timeouts::DEFAULT }
    }
}

/// Opens a SQLite file for reading and reads its schema.
///
/// Each run opens the file again, because an open connection keeps reading a file that was removed. The check never creates
/// or changes the file. It runs on a blocking thread. For your own connection, use
/// [`BlockingCheck`](super::BlockingCheck).
///
/// # Example
/// ```
/// use campanile::health::SqliteCheck;
///
/// # fn main() -> Result<(), campanile::ConfigError> {
/// let readable = SqliteCheck::builder("/var/lib/shop/orders.db").build()?;
/// let undamaged = SqliteCheck::builder("/var/lib/shop/orders.db").thorough(true).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SqliteCheck {
    settings: Arc<SqliteCheckSettings>,
    thread: SingleThread,
}

/// Interrupts the query when it is dropped, which also happens when the run is ended.
#[derive(Default)]
struct InterruptOnDrop(Arc<Mutex<Progress>>);

#[derive(Default)]
enum Progress {
    #[default]
    NotOpen,
    Open(InterruptHandle),
    Dropped,
}

impl Drop for InterruptOnDrop {
    fn drop(&mut self) {
        if let Progress::Open(connection) = mem::replace(&mut *self.0.lock(), Progress::Dropped) {
            connection.interrupt();
        }
    }
}

impl SqliteCheck {
    /// Starts a check of the file at `path`.
    pub fn builder(path: impl Into<PathBuf>) -> SqliteCheckSettings {
        SqliteCheckSettings { path: path.into(), ..SqliteCheckSettings::default() }
    }

    /// Makes the check that `settings` describe.
    ///
    /// # Errors
    /// When the path is empty or the timeout is out of its range. The error names the setting.
    pub fn from_settings(settings: &SqliteCheckSettings) -> Result<Self, ConfigError> {
        timeouts::validate(settings.timeout)
            .map_err(|error| error.of("the check of", &settings.path.to_string_lossy()))?;
        let path = &settings.path;
        ConfigError::check(!path.as_os_str().is_empty(), "path", path, "the path of a file")?;
        Ok(Self { settings: Arc::new(settings.clone()), thread: SingleThread::default() })
    }
}

impl SqliteCheckSettings {
    setters! {
        /// Sets the field [`thorough`](Self::thorough).
        pub fn thorough(thorough: bool) { thorough = thorough; }
        /// Sets the field [`timeout`](Self::timeout).
        pub fn timeout(timeout: Duration) { timeout = timeout; }
    }

    /// Makes the check: see [`SqliteCheck::from_settings`].
    ///
    /// # Errors
    /// As [`SqliteCheck::from_settings`].
    pub fn build(self) -> Result<SqliteCheck, ConfigError> {
        SqliteCheck::from_settings(&self)
    }
}

impl Check for SqliteCheck {
    async fn check(&self) -> Finding {
        let settings = Arc::clone(&self.settings);
        let interrupt = InterruptOnDrop::default();
        let progress = Arc::clone(&interrupt.0);
        let result = self.thread.run(move || inspect(&settings, &progress)).await;
        result.map_err(|busy| format!("`{}`: {busy}", self.settings.path.display())).into()
    }
}

fn inspect(settings: &SqliteCheckSettings, progress: &Mutex<Progress>) -> Result<(), String> {
    let path = &settings.path;
    let failed = |error: rusqlite::Error| explain(settings, &error);
    // SQLite itself would only say that it cannot open the file. Only SQLite may open the file here: POSIX drops the locks
    // of a process on a file when the process closes any descriptor of it.
    match std::fs::metadata(path) {
        Ok(file) if file.is_file() => {}
        Ok(_) => return Err(format!("`{}` cannot be read: it is not a regular file", path.display())),
        Err(error) => return Err(unreadable(path, &error)),
    }
    if is_replaced(path) {
        return Err(format!(
            "`{}` was replaced while the dead-letter store of this process has it open",
            path.display()
        ));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(settings.timeout).map_err(failed)?;
    {
        let mut progress = progress.lock();
        if matches!(*progress, Progress::Dropped) {
            return Ok(());
        }
        *progress = Progress::Open(connection.get_interrupt_handle());
    }
    // A plain `SELECT 1` does not read the file.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(failed)?;
    if settings.thorough {
        let found: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if found != "ok" {
            return Err(format!("`{}` is damaged: {}", path.display(), one_line(&found)));
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("the file `{}` does not exist", path.display()),
        _ => format!("`{}` cannot be read: {error}", path.display()),
    }
}

fn explain(settings: &SqliteCheckSettings, error: &rusqlite::Error) -> String {
    let path = settings.path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            format!("`{path}` is damaged or not a SQLite database: {}", error_chain(error))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("another connection held a lock on `{path}` for more than {:?}", settings.timeout)
        }
        _ => format!("`{path}` cannot be read: {}", error_chain(error)),
    }
}

//! SQLite files.

use std::fs;
use std::path::Path;
use std::time::Duration;

use campanile::dead_letter::LetterFilter;
use campanile::health::{Check, Finding, SqliteCheck, SqliteCheckSettings};
use campanile::store::{SqliteStore, Store};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{find, why};

const PATH: &str = "CAMPANILE_TEST_CHECKED_FILE";

/// A file with a thousand rows.
fn file(mode: &str) -> (TempDir, std::path::PathBuf, Connection) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.db");
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "journal_mode", mode).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, what TEXT);
             CREATE INDEX by_what ON orders (what);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
             INSERT INTO orders SELECT i, 'an order of some length, number ' || i FROM n;",
        )
        .unwrap();
    (folder, path, connection)
}

fn check(path: &Path) -> SqliteCheck {
    SqliteCheck::builder(path).timeout(Duration::from_millis(200)).build().unwrap()
}

#[tokio::test]
async fn a_readable_file_passes() {
    for mode in ["DELETE", "WAL"] {
        let (_folder, path, connection) = file(mode);
        let check = check(&path);
        assert_eq!(find(&check).await, Finding::Pass, "{mode}");
        // An uncommitted write does not block readers.
        connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM orders WHERE id = 1;").unwrap();
        assert_eq!(find(&check).await, Finding::Pass, "{mode}");
        let thorough = SqliteCheck::builder(&path).thorough(true).build().unwrap();
        assert_eq!(find(&thorough).await, Finding::Pass, "{mode}");
    }
}

#[tokio::test]
async fn a_locked_file_fails_after_the_timeout() {
    let (_folder, path, connection) = file("DELETE");
    let check = check(&path);
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let locked = why(find(&check).await);
    assert_eq!(locked, format!("another connection held a lock on `{}` for more than 200ms", path.display()));
    connection.execute_batch("COMMIT").unwrap();
    assert_eq!(find(&check).await, Finding::Pass);
}

#[tokio::test]
async fn a_lock_does_not_block_the_runtime() {
    let (_folder, path, connection) = file("DELETE");
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let check = SqliteCheck::builder(&path).timeout(Duration::from_secs(20)).build().unwrap();
    // The runtime has one thread: the timer fires only if the check does not block it.
    assert!(timeout(Duration::from_millis(50), check.check()).await.is_err());
    let again = why(find(&check).await);
    assert!(again.contains("the previous run still blocks its thread"), "{again}");
    connection.execute_batch("COMMIT").unwrap();
    while find(&check).await != Finding::Pass {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_missing_file_is_not_created() {
    let (folder, path, connection) = file("DELETE");
    let check = check(&path);
    drop(connection);
    assert_eq!(find(&check).await, Finding::Pass);
    fs::remove_file(&path).unwrap();
    assert_eq!(why(find(&check).await), format!("the file `{}` does not exist", path.display()));
    assert!(!path.exists());
    let folder = SqliteCheck::builder(folder.path()).build().unwrap();
    assert!(why(find(&folder).await).contains("cannot be read"));
}

#[tokio::test]
async fn a_damaged_file_fails() {
    let (_folder, path, connection) = file("DELETE");
    drop(connection);
    let whole = fs::read(&path).unwrap();
    let thorough = SqliteCheck::builder(&path).thorough(true).build().unwrap();
    let quick = check(&path);

    // Damage of a page in the middle shows only when every page is read.
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2 / 4_096 * 4_096;
    damaged[middle..middle + 4_096].fill(0xff);
    fs::write(&path, &damaged).unwrap();
    assert_eq!(find(&quick).await, Finding::Pass);
    let found = why(find(&thorough).await);
    assert!(found.contains("is damaged"), "{found}");

    // The first page is damaged, and the file is not a database.
    let mut damaged = whole;
    damaged[100..4_096].fill(0xff);
    for bytes in [damaged, b"this is a text of more than a hundred bytes, ".repeat(200)] {
        fs::write(&path, bytes).unwrap();
        let found = why(find(&quick).await);
        assert!(found.contains("is damaged or not a SQLite database: "), "{found}");
    }
}

/// Opening it would truncate the index of the write-ahead log that the open store uses.
#[tokio::test]
async fn a_file_that_replaced_an_open_store_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let check = check(&path);
    assert_eq!(find(&check).await, Finding::Pass);
    let backup = folder.path().join("backup.db");
    Connection::open(&path).unwrap().execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
    fs::rename(&backup, &path).unwrap();
    let found = why(find(&check).await);
    assert_eq!(
        found,
        format!("`{}` was replaced while the dead-letter store of this process has it open", path.display())
    );
    // A call of the store makes it reopen the file.
    assert!(store.list("orders", &LetterFilter::all()).await.unwrap().is_empty());
    assert_eq!(find(&check).await, Finding::Pass);
}

/// Not a separate test: the test below runs it as another process, which tries to write to the file.
#[test]
fn child() {
    if let Some(path) = std::env::var_os(PATH) {
        let connection = Connection::open(path).unwrap();
        connection.busy_timeout(Duration::ZERO).unwrap();
        println!("locked: {}", connection.execute_batch("BEGIN IMMEDIATE").is_err());
    }
}

/// POSIX drops the locks of a process on a file when the process closes any descriptor of it.
#[tokio::test]
async fn a_check_drops_no_lock() {
    let (_folder, path, connection) = file("DELETE");
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(find(&check(&path)).await, Finding::Pass);
    let other = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite::child", "--nocapture"])
        .env(PATH, &path)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&other.stdout).contains("locked: true"), "{other:?}");
}

#[test]
fn settings_are_checked() {
    assert_eq!(SqliteCheck::builder("").build().unwrap_err().setting(), "path");
    let settings: SqliteCheckSettings =
        serde_json::from_str(r#"{"path": "a.db", "thorough": true, "timeout": "0s"}"#).unwrap();
    let error = SqliteCheck::from_settings(&settings).unwrap_err();
    assert_eq!(
        error.to_string(),
        "setting `timeout` of the check of `a.db` cannot be 0ns; allowed: more than zero and at most an hour"
    );
    assert!(serde_json::from_str::<SqliteCheckSettings>(r#"{"file": "a.db"}"#).is_err());
}

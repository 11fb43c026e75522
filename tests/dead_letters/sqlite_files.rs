//! The file itself: its size, its rights, and concurrent use.

use std::path::{Path, PathBuf};
use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{DropReason, LetterFilter, Redrive};
use campanile::store::{Entry, PurgeRecord, SqliteStore, Store};
use rusqlite::Connection;
use tempfile::TempDir;
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::store_checks::{entry, put};
#[cfg(unix)]
use crate::support::damage;
use crate::support::{Order, assert_accounted, fail, open, waiting};

const PATH: &str = "CAMPANILE_TEST_UNWRITABLE";

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    (folder, path)
}

/// The bytes of a file and its log.
fn weigh(path: &Path) -> u64 {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    size(path) + size(&path.with_extension("db-wal"))
}

async fn until(what: &str, done: impl AsyncFn() -> bool) {
    for _ in 0..6_000 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("within a minute: {what}");
}

/// Parks letters of 8 KiB.
async fn park(queue: &DeadLetterQueue, letters: usize) {
    let service = queue.layer().layer(service_fn(|_: String| async { Err::<(), _>("refused") }));
    let calls: Vec<_> =
        (0..letters).map(|_| tokio::spawn(service.clone().oneshot("x".repeat(8_192)))).collect();
    for call in calls {
        call.await.unwrap().unwrap_err();
    }
}

#[tokio::test]
async fn an_idle_file_shrinks() {
    let (_folder, path) = folder();
    let queue = open(&path).await;
    park(&queue, 400).await;
    let full = weigh(&path);
    assert!(full > 3_300_000, "{full}");
    until("the snapshot has the size", async || queue.snapshot().file_size == Some(weigh(&path))).await;
    let sent = service_fn(|_: String| async { Ok::<_, BoxError>(()) });
    let most = Redrive::all().concurrency(32);
    assert_eq!(queue.redrive(sent, most).await.unwrap().redriven, 400);
    until("the room of letters that are gone is given back", async || weigh(&path) < 600_000).await;
    until("the log is emptied", async || weigh(&path) == std::fs::metadata(&path).unwrap().len()).await;
    until("the snapshot has the size", async || queue.snapshot().file_size == Some(weigh(&path))).await;
    assert!(queue.is_empty().await.unwrap());

    // There is space again, and it is used.
    park(&queue, 10).await;
    assert_accounted(&queue, 410, 410, None);
}

#[tokio::test]
async fn a_log_is_emptied_once_its_reader_has_finished() {
    let (_folder, path) = folder();
    let queue = open(&path).await;
    park(&queue, 20).await;
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM letters").unwrap();
    park(&queue, 20).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let log = path.with_extension("db-wal");
    assert!(std::fs::metadata(&log).unwrap().len() > 0);
    reader.execute_batch("COMMIT").unwrap();
    until("the log is emptied", async || std::fs::metadata(&log).unwrap().len() == 0).await;
}

#[tokio::test]
async fn a_purge_of_many_is_one_purge() {
    let (_folder, path) = folder();
    let store = SqliteStore::open(&path).await.unwrap();
    let queue = "orders".into();
    let tasks: Vec<_> = (0..2_600)
        .map(|_| {
            let (store, entry): (_, Entry) = (store.clone(), entry(&queue));
            tokio::spawn(async move { put(&store, &entry).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let some = store.purge(&queue, PurgeRecord::new("me", LetterFilter::all().limit(2_500))).await.unwrap();
    assert_eq!(some.purged, 2_500);
    let rest = store.purge(&queue, PurgeRecord::new("me", LetterFilter::all())).await.unwrap();
    assert_eq!(rest.purged, 100);
    assert_eq!(store.purges(&queue).await.unwrap(), [rest, some]);
    assert_eq!(store.depth(&queue).waiting, 0);
}

#[tokio::test]
async fn a_file_that_another_process_locks_cannot_be_opened() {
    let (_folder, path) = folder();
    drop(open(&path).await);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(error.is_locked() && error.to_string().contains(path.to_str().unwrap()), "{error}");
    other.execute_batch("COMMIT").unwrap();
    open(&path).await;
}

#[cfg(unix)]
#[tokio::test]
async fn p21_a_damaged_page_does_not_affect_the_caller() {
    let (_folder, path) = folder();
    let queue = open(&path).await;
    park(&queue, 50).await;
    let log = path.with_extension("db-wal");
    until("the log is emptied", async || std::fs::metadata(&log).unwrap().len() == 0).await;
    // A new connection has no pages in memory.
    damage(&path);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let error = queue.list(LetterFilter::all()).await.unwrap_err();
    assert!(error.is_corrupt() && error.to_string().contains(".recover"), "{error}");
    assert_eq!(fail(&queue, 1).await.to_string(), "order 1 refused");
    assert_accounted(&queue, 51, 50, Some((DropReason::Store, 1)));
}

/// Not a test: the child of the test below, which may not write.
#[test]
fn child() {
    let Some(paths) = std::env::var_os(PATH) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for path in std::env::split_paths(&paths) {
        match runtime.block_on(SqliteStore::open(&path)) {
            Ok(_) => println!("opened {}", path.display()),
            Err(error) => println!("unwritable {} {error}", error.is_unwritable()),
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_read_only_file_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    let (folder, path) = folder();
    let queue = open(&path).await;
    fail(&queue, 1).await;
    drop(queue);
    let read_only = folder.path().join("read-only");
    std::fs::create_dir(&read_only).unwrap();
    assert!(std::process::Command::new("cp").arg(&path).arg(&read_only).status().unwrap().success());
    let unwritable = folder.path().join("unwritable");
    std::fs::write(&unwritable, "").unwrap();
    let forbid = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    forbid(folder.path(), 0o755);
    forbid(&path, 0o444);
    forbid(&unwritable, 0o444);
    forbid(&read_only.join("letters.db"), 0o666);
    forbid(&read_only, 0o555);
    let paths = [path.clone(), read_only.join("letters.db"), read_only.join("new.db")];

    // Root may write everywhere. So the child runs as another user, from a folder that every user can read.
    let program = folder.path().join("child");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut child = std::process::Command::new(&program);
    child.args(["--exact", "sqlite_files::child", "--nocapture"]);
    child.env(PATH, std::env::join_paths(&paths).unwrap()).current_dir("/");
    if std::fs::OpenOptions::new().append(true).open(&unwritable).is_ok() {
        child.uid(65_534).gid(65_534);
    }
    let output = child.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    forbid(&read_only, 0o755);
    for path in &paths {
        let line = said.lines().find(|line| line.contains(&format!("`{}`", path.display())));
        assert!(line.is_some_and(|line| line.contains("unwritable true")), "{}: {said}", path.display());
    }
    forbid(&path, 0o644);
    assert_eq!(waiting(&open(&path).await).await, [1]);
}

#[tokio::test]
async fn a_long_list_does_not_block_other_calls() {
    let (_folder, path) = folder();
    let queue = open(&path).await;
    for number in 0..20 {
        fail(&queue, number).await;
    }
    // More lists than connections, some of them cancelled.
    let lists: Vec<_> = (0..40)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.list(LetterFilter::all()).await.unwrap().len() })
        })
        .collect();
    for (number, list) in lists.into_iter().enumerate() {
        if number % 2 == 0 {
            list.abort();
        } else {
            assert_eq!(list.await.unwrap(), 20);
        }
    }
    let service = service_fn(|_: Order| async { Ok::<_, BoxError>(()) });
    assert_eq!(queue.redrive(service, Redrive::all()).await.unwrap().redriven, 20);
}

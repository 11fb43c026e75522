//! The rights of the file, its log and its index, and the locks on it.

use std::fs::{metadata, set_permissions};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use campanile::store::SqliteStore;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::{fail, open, waiting};

const PATH: &str = "CAMPANILE_TEST_LOCKED_LETTERS";

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    (folder, path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", path.display()).into()
}

fn all(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| beside(path, suffix))
}

fn mode(path: &Path) -> u32 {
    metadata(path).unwrap().permissions().mode() & 0o777
}

fn allow(path: &Path, mode: u32) {
    set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

async fn refused(path: &Path) -> String {
    let error = SqliteStore::open(path).await.unwrap_err();
    assert!(error.is_unwritable(), "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_new_file_is_readable_by_its_owner_only() {
    let (_folder, path) = folder();
    let queue = open(&path).await;
    fail(&queue, 1).await;
    for path in all(&path) {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn rights_of_others_are_removed() {
    let (_folder, path) = folder();
    let queue = open(&path).await;
    fail(&queue, 1).await;
    for (path, rights) in all(&path).iter().zip([0o644, 0o640, 0o606]) {
        allow(path, rights);
    }
    // It is already open, and nothing is lost.
    let again = open(&path).await;
    for path in all(&path) {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    fail(&queue, 2).await;
    assert_eq!(waiting(&again).await, [1, 2]);

    // A later log gets the rights of the file.
    drop((queue, again));
    allow(&path, 0o660);
    let queue = open(&path).await;
    fail(&queue, 3).await;
    assert!(all(&path).iter().all(|path| mode(path) == 0o600));
}

#[tokio::test]
async fn a_link_to_nothing_is_refused() {
    let (folder, path) = folder();
    let target = folder.path().join("target.db");
    symlink(&target, &path).unwrap();
    let why = refused(&path).await;
    assert!(
        why.contains("letters.db") && why.contains("it is a link to a file that does not exist"),
        "{why}"
    );
    assert!(!target.exists(), "made through the link");

    // A link to an existing file is followed, with its log beside the file.
    fail(&open(&target).await, 1).await;
    allow(&target, 0o604);
    let queue = open(&path).await;
    fail(&queue, 2).await;
    assert_eq!(waiting(&queue).await, [1, 2]);
    assert!(all(&target).iter().all(|path| mode(path) == 0o600));
}

#[tokio::test]
async fn a_path_that_is_not_a_plain_file_is_refused() {
    let (folder, path) = folder();
    let why = refused(folder.path()).await;
    assert!(why.contains("it is not a regular file"), "{why}");
    // Opening a pipe would wait for a writer.
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let why = refused(&path).await;
    assert!(why.contains("it is not a regular file"), "{why}");
    std::fs::remove_file(&path).unwrap();

    // Letters would go to the target of the link.
    for suffix in ["-wal", "-shm", "-journal"] {
        let companion = beside(&path, suffix);
        symlink(folder.path().join("elsewhere"), &companion).unwrap();
        let why = refused(&path).await;
        assert!(why.contains(suffix) && why.contains("it is not a regular file"), "{why}");
        std::fs::remove_file(&companion).unwrap();
    }
    assert!(!folder.path().join("elsewhere").exists());
    open(&path).await;
}

/// A folder like `/tmp`, in which every user may create files and remove only their own.
fn shared() -> (TempDir, PathBuf) {
    let (folder, path) = folder();
    allow(folder.path(), 0o1777);
    (folder, path)
}

/// Gives a file to another user. Returns `false` if this user may not.
fn give_away(path: &Path) -> bool {
    lchown(path, Some(65_534), Some(65_534)).is_ok()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_of_another_user_in_a_shared_folder_is_refused_and_unchanged() {
    let (folder, path) = shared();
    // If a link were followed, it could change the rights of any file of this user.
    let own = folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    let victim = own.join("web.html");
    std::fs::write(&victim, "").unwrap();
    allow(&victim, 0o644);
    symlink(&victim, &path).unwrap();
    if !give_away(&path) {
        return;
    }
    let why = refused(&path).await;
    assert!(why.contains("it belongs to another user"), "{why}");
    assert_eq!(mode(&victim), 0o644);
    std::fs::remove_file(&path).unwrap();

    // So could a second name.
    std::fs::hard_link(&victim, &path).unwrap();
    let why = refused(&path).await;
    assert!(why.contains("it has a second name"), "{why}");
    assert_eq!(mode(&victim), 0o644);
    std::fs::remove_file(&path).unwrap();

    // The owner of the file could read the letters, regardless of its rights.
    for (suffix, rights) in [("", 0o666), ("", 0o600), ("-wal", 0o666), ("-shm", 0o600), ("-journal", 0o666)]
    {
        let planted = beside(&path, suffix);
        std::fs::write(&planted, "").unwrap();
        allow(&planted, rights);
        assert!(give_away(&planted));
        let why = refused(&path).await;
        assert!(
            why.contains("it belongs to another user") && why.contains(&format!("letters.db{suffix}`")),
            "{why}"
        );
        assert_eq!(mode(&planted), rights);
        std::fs::remove_file(&planted).unwrap();
    }

    // Files of this user are accepted, also through a link of this user.
    let queue = open(&path).await;
    fail(&queue, 1).await;
    drop(queue);
    let link = folder.path().join("link.db");
    symlink(&path, &link).unwrap();
    assert_eq!(waiting(&open(&link).await).await, [1]);
}

#[tokio::test]
async fn the_file_of_another_program_keeps_its_rights() {
    let (_folder, path) = folder();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY)").unwrap();
    allow(&path, 0o664);
    assert!(SqliteStore::open(&path).await.unwrap_err().is_foreign());
    assert_eq!(mode(&path), 0o664);
    std::fs::write(&path, "no database at all, and more of it than a header has: ".repeat(100)).unwrap();
    assert!(SqliteStore::open(&path).await.is_err());
    assert_eq!(mode(&path), 0o664);
}

/// Not a test: the other process of the test below, which wants to write.
#[test]
fn child() {
    if let Some(path) = std::env::var_os(PATH) {
        let connection = Connection::open(path).unwrap();
        connection.busy_timeout(Duration::ZERO).unwrap();
        println!("locked: {}", connection.execute_batch("BEGIN IMMEDIATE").is_err());
    }
}

/// POSIX releases the locks of a process on a file when the process closes any descriptor of the file.
#[tokio::test]
async fn opening_a_file_releases_no_lock() {
    let (_folder, path) = folder();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY); BEGIN IMMEDIATE").unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(error.is_foreign(), "{error}");
    let other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite_rights::child", "--nocapture"])
        .env(PATH, &path)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&other.stdout).contains("locked: true"), "{other:?}");
}

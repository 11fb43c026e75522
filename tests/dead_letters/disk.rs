//! A disk that is full, read-only, damaged or locked. The result of the caller stays unchanged. The letter goes to the
//! spill or is counted as dropped. When the disk works again, letters are parked again.
//!
//! A full disk is a small file system that a child mounts in its own namespace, which needs root or user namespaces. Where
//! neither is available, a limit on the size of files replaces it: writes of SQLite really fail too, but for
//! both files at once, and with another error. Each test prints which one was used.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{DeadLetterQueueBuilder, DropReason, LetterFilter};
use tempfile::TempDir;
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{assert_accounted, fail, until, waiting};

const SCENARIO: &str = "CAMPANILE_TEST_DISK_SCENARIO";
const SMALL: &str = "CAMPANILE_TEST_SMALL_DISK";
const OTHER: &str = "CAMPANILE_TEST_OTHER_DISK";
const WAY: &str = "CAMPANILE_TEST_DISK_WAY";

/// How a child gets a full disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    /// A separate file system, mounted by root.
    Root,
    /// The same, as root of a user namespace.
    UserNamespace,
    /// A limit on the size of files.
    FileLimit,
}

fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|it| it.success())
}

impl Way {
    /// Those that work here, the best first. There is at least one.
    fn all() -> Vec<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut ways = vec![Self::Root, Self::UserNamespace, Self::FileLimit];
        ways.retain(|way| works(way.command(folder.path()).arg("true")));
        assert!(
            !ways.is_empty(),
            "a full disk needs `unshare` and `mount` as root or in a user namespace, or else `prlimit`"
        );
        ways
    }

    /// The best one.
    pub(crate) fn best() -> Self {
        Self::all()[0]
    }

    /// A command that runs a program, to be added, with `small` as its disk.
    fn command(self, small: &Path) -> Command {
        // Space for the log and the reserve of all letters that a test parks at once.
        const MOUNT: &str = r#"mount -t tmpfs -o size=8m,mode=0777 tmpfs "$0" && exec "$@""#;
        let mut command = match self {
            Self::Root => {
                let mut command = Command::new("unshare");
                command.args(["-m", "sh", "-c", MOUNT]);
                command
            }
            Self::UserNamespace => {
                let mut command = Command::new("unshare");
                command.args(["-Urm", "sh", "-c", MOUNT]);
                command
            }
            Self::FileLimit => {
                let mut command = Command::new("sh");
                // Without the trap, the first write beyond the limit ends the program.
                command.args(["-c", r#"trap "" XFSZ && prlimit --pid $$ --fsize=unlimited: && exec "$@""#]);
                command
            }
        };
        command.arg(small);
        command
    }

    pub(crate) fn has_other_disk(self) -> bool {
        self != Self::FileLimit
    }
}

/// This program, as the child of a test.
fn child_of(mut command: Command, scenario: &str) -> Command {
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "disk::child", "--nocapture"]).env(SCENARIO, scenario);
    command
}

pub(crate) fn run_on_a_full_disk(way: Way, scenario: &str) {
    eprintln!("the full disk is made by: {way:?}");
    let (small, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut child = child_of(way.command(small.path()), scenario);
    child.env(SMALL, small.path()).env(OTHER, other.path()).env(WAY, format!("{way:?}"));
    let output = child.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{scenario} by {way:?}:\n{out}\n{err}");
}

/// Not a test: the tests below run it in a process with a separate disk.
#[test]
fn child() {
    let Ok(scenario) = std::env::var(SCENARIO) else {
        return;
    };
    let disk = Disk::from_environment();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        match scenario.as_str() {
            "full" => full(&disk).await,
            "emptied" => crate::disk_emptied::emptied(&disk).await,
            "sent in part" => crate::disk_emptied::sent_in_part(&disk).await,
            "opened" => crate::disk_emptied::opened(&disk).await,
            "full with a spill" => full_with_a_spill(&disk).await,
            "full with a full spill" => full_with_a_full_spill(&disk).await,
            "lock" => lock(),
            other => panic!("{other}"),
        }
    });
}

/// The files of a child.
pub(crate) struct Disk {
    pub(crate) small: PathBuf,
    other: PathBuf,
    limited: bool,
}

impl Disk {
    fn from_environment() -> Self {
        let path = |name| PathBuf::from(std::env::var_os(name).unwrap_or_default());
        let limited = std::env::var(WAY).is_ok_and(|way| way == "FileLimit");
        Self { small: path(SMALL), other: path(OTHER), limited }
    }

    fn ballast(&self) -> PathBuf {
        self.small.join("ballast")
    }

    fn limit(to: &str) {
        let pid = std::process::id().to_string();
        assert!(works(Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={to}:")])));
    }

    /// Fills the disk.
    pub(crate) fn fill(&self) {
        if self.limited {
            return Self::limit("1");
        }
        let mut ballast = File::create(self.ballast()).unwrap();
        for size in [4_096, 1] {
            while ballast.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    /// Frees the disk.
    pub(crate) fn clear(&self) {
        if self.limited {
            return Self::limit("unlimited");
        }
        std::fs::remove_file(self.ballast()).unwrap();
    }

    pub(crate) fn builder(&self) -> DeadLetterQueueBuilder {
        DeadLetterQueue::builder("orders").park_timeout(Duration::from_secs(30))
    }
}

/// Parks large letters: small ones would fit into space that SQLite already has.
pub(crate) async fn fail_large(queue: &DeadLetterQueue, letters: u64) {
    for _ in 0..letters {
        let service = queue.layer().layer(service_fn(|_: String| async { Err::<(), _>("refused") }));
        assert_eq!(service.oneshot("x".repeat(20_000)).await.unwrap_err().to_string(), "refused");
    }
}

async fn full(disk: &Disk) {
    let queue = disk.builder().sqlite(disk.small.join("letters.db")).await.unwrap();
    fail_large(&queue, 5).await;
    disk.fill();
    fail_large(&queue, 5).await;
    assert_accounted(&queue, 10, 5, Some((DropReason::Store, 5)));
    if disk.limited {
        // No file may have a second byte, so that nothing can be written.
        let error = queue.purge(LetterFilter::all()).await.unwrap_err();
        assert!(error.to_string().contains("letters.db"), "{error}");
    }
    assert_eq!(queue.len().await.unwrap(), 5, "what is there can be read");

    disk.clear();
    fail_large(&queue, 5).await;
    assert_accounted(&queue, 15, 10, Some((DropReason::Store, 5)));
    assert_eq!(queue.len().await.unwrap(), 10);
    drop(queue);
    let queue = disk.builder().sqlite(disk.small.join("letters.db")).await.unwrap();
    assert_eq!(queue.len().await.unwrap(), 10, "the file has taken no harm");
}

async fn full_with_a_spill(disk: &Disk) {
    let queue = disk.builder().spill(disk.other.join("spill.db"));
    let queue = queue.sqlite(disk.small.join("letters.db")).await.unwrap();
    fail_large(&queue, 5).await;
    disk.fill();
    fail_large(&queue, 50).await;
    assert_accounted(&queue, 55, 55, None);
    assert_eq!(queue.snapshot().spilled, 50);
    disk.clear();
    until("all are where they belong", async || queue.snapshot().spilled == 0).await;
    assert_eq!(queue.len().await.unwrap(), 55);
    fail_large(&queue, 1).await;
    until("it is parked there again", async || queue.len().await.unwrap() == 56).await;
    assert_accounted(&queue, 56, 56, None);
}

async fn full_with_a_full_spill(disk: &Disk) {
    let queue = disk.builder().spill(disk.small.join("spill.db"));
    let queue = queue.sqlite(disk.small.join("letters.db")).await.unwrap();
    fail_large(&queue, 5).await;
    disk.fill();
    fail_large(&queue, 5).await;
    assert_accounted(&queue, 10, 5, Some((DropReason::Store, 5)));
    disk.clear();
    until("letters are parked again", async || {
        fail_large(&queue, 1).await;
        queue.snapshot().parked >= 8
    })
    .await;
    until("none is in the spill", async || queue.snapshot().spilled == 0).await;
    let snapshot = queue.snapshot();
    assert_eq!(queue.len().await.unwrap(), snapshot.parked);
    assert_eq!(snapshot.failures, snapshot.parked + snapshot.dropped_total());
}

#[test]
fn p21_a_full_disk_drops_letters_and_logs_it() {
    // All of them, so that the one that works everywhere is tested too.
    for way in Way::all() {
        run_on_a_full_disk(way, "full");
    }
}

#[test]
fn p20_a_full_disk_spills_to_another() {
    let way = Way::best();
    if way.has_other_disk() {
        run_on_a_full_disk(way, "full with a spill");
    } else {
        eprintln!("a limit on files concerns both disks: what follows shows only that both may be full");
        run_on_a_full_disk(way, "full with a full spill");
    }
}

#[test]
fn p21_a_disk_that_is_full_for_the_spill_too_drops_letters_and_logs_it() {
    run_on_a_full_disk(Way::best(), "full with a full spill");
}

/// Whether file modes apply to this user.
fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Uid:\t0\t")))
}

/// Tries again if SQLite removed its log meanwhile.
fn chmod(mode: &str, folder: &Path) {
    assert!((0..20).any(|_| works(Command::new("chmod").args(["-R", mode]).arg(folder))));
}

#[tokio::test]
async fn a_read_only_file_or_folder_is_named_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let queue = DeadLetterQueue::sqlite(&path).await.unwrap();
    fail(&queue, 1).await;
    drop(queue);
    // As another user, because modes do not apply to root.
    let output = if is_root() {
        chmod("a+rX", folder.path());
        let mut other = Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        let exe = std::env::current_exe().unwrap();
        // The build may lie where only root can read.
        let copy = folder.path().join("child");
        std::fs::copy(exe, &copy).unwrap();
        other.arg(copy);
        other.args(["--exact", "disk::read_only_child", "--nocapture"]).env(SMALL, &path).output().unwrap()
    } else {
        chmod("a-w", folder.path());
        let mut same = Command::new(std::env::current_exe().unwrap());
        let output =
            same.args(["--exact", "disk::read_only_child", "--nocapture"]).env(SMALL, &path).output();
        assert!(works(Command::new("chmod").args(["-R", "u+w"]).arg(folder.path())));
        output.unwrap()
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

/// Not a test: the child of the test above, which may not write there.
#[tokio::test]
async fn read_only_child() {
    let Some(path) = std::env::var_os(SMALL).map(PathBuf::from) else {
        return;
    };
    for path in [path.clone(), path.with_file_name("new.db")] {
        let error = DeadLetterQueue::sqlite(&path).await.unwrap_err();
        assert!(error.is_unwritable() && error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    let spill = DeadLetterQueue::builder("orders").spill(path.as_path());
    let error = spill.open(campanile::store::MemoryStore::default()).await.unwrap_err();
    assert!(error.is_unwritable(), "{error}");
}

fn builder(folder: &TempDir) -> DeadLetterQueueBuilder {
    DeadLetterQueue::builder("orders")
        .park_timeout(Duration::from_secs(30))
        .spill(folder.path().join("spill.db"))
}

/// Damages an open file after its log was written back.
fn damage(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    crate::support::damage(path);
    // A change by another process makes every connection read again.
    connection.pragma_update(None, "cache_size", 5_000).unwrap();
    let version: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    connection.pragma_update(None, "user_version", version).unwrap();
}

#[tokio::test]
async fn p21_damage_to_an_open_file_does_not_affect_the_caller() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let queue = DeadLetterQueue::builder("orders").park_timeout(Duration::from_secs(30));
    let queue = queue.sqlite(&path).await.unwrap();
    fail_large(&queue, 20).await;
    damage(&path);
    for number in 1..=3 {
        assert_eq!(fail(&queue, number).await.to_string(), format!("order {number} refused"));
    }
    assert_accounted(&queue, 23, 20, Some((DropReason::Store, 3)));
    let error = queue.list(LetterFilter::all()).await.unwrap_err();
    assert!(error.is_corrupt() && error.to_string().contains("move it away"), "{error}");
}

#[tokio::test]
async fn p20_letters_of_a_damaged_file_go_to_the_spill_and_then_to_the_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let queue = builder(&folder).sqlite(&path).await.unwrap();
    fail_large(&queue, 20).await;
    damage(&path);
    for number in 1..=3 {
        fail(&queue, number).await;
    }
    assert_accounted(&queue, 23, 23, None);
    assert_eq!(queue.snapshot().spilled, 3);
    drop(queue);

    let error = builder(&folder).sqlite(&path).await.unwrap_err();
    assert!(error.is_corrupt() && error.to_string().contains("move it away"), "{error}");
    for name in ["letters.db", "letters.db-wal", "letters.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(name));
    }
    let queue = builder(&folder).sqlite(&path).await.unwrap();
    until("those of the spill are there", async || queue.snapshot().spilled == 0).await;
    assert_eq!(waiting(&queue).await, [1, 2, 3]);
}

/// Another process that holds a lock until this is dropped.
struct Locked(Child);

impl Locked {
    fn new(path: &Path) -> Self {
        let mut child = child_of(Command::new("env"), "lock");
        child.env(SMALL, path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("locked")), "the child ended");
        Self(child)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Runs in the child.
fn lock() {
    let path = std::env::var_os(SMALL).unwrap();
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    println!("locked");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    connection.execute_batch("ROLLBACK").unwrap();
}

#[tokio::test]
async fn p20_letters_of_a_locked_file_go_to_the_spill_and_return() {
    const AFTER: Duration = Duration::from_millis(200);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let spill = campanile::dead_letter::SpillSettings::new(folder.path().join("spill.db")).after(AFTER);
    let queue = builder(&folder).spill(spill).sqlite(&path).await.unwrap();
    fail(&queue, 1).await;
    let locked = Locked::new(&path);
    for number in 2..=6 {
        let began = Instant::now();
        assert_eq!(fail(&queue, number).await.to_string(), format!("order {number} refused"));
        assert!(number > 2 || began.elapsed() >= AFTER);
    }
    assert_accounted(&queue, 6, 6, None);
    assert_eq!(queue.snapshot().spilled, 5);
    drop(locked);
    until("they are back", async || queue.snapshot().spilled == 0).await;
    assert_eq!(waiting(&queue).await, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn p21_a_file_that_is_locked_for_long_drops_letters_and_does_not_delay_callers() {
    const LIMIT: Duration = Duration::from_millis(100);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let queue = DeadLetterQueue::builder("orders").park_timeout(LIMIT).sqlite(&path).await.unwrap();
    let locked = Locked::new(&path);
    let began = Instant::now();
    assert_eq!(fail(&queue, 1).await.to_string(), "order 1 refused");
    assert!(began.elapsed() >= LIMIT && queue.snapshot().late == 1, "{:?}", began.elapsed());
    until("it is given up", async || queue.snapshot().parking == 0).await;
    assert_accounted(&queue, 1, 0, Some((DropReason::Store, 1)));
    drop(locked);
    fail(&queue, 2).await;
    until("letters are parked again", async || queue.snapshot().parked == 1).await;
    assert_eq!(waiting(&queue).await, [2]);
}

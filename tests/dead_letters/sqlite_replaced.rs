//! The file, or its log or index, is removed or replaced while it is open. Letters that are acknowledged later survive
//! when the process is killed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{LetterFilter, SpillReason};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::{fail, open, until, waiting};

const PATH: &str = "CAMPANILE_TEST_REPLACED_LETTERS";
const SPILL: &str = "CAMPANILE_TEST_REPLACED_SPILL";

/// Not a test: the process of the tests below, which parks as many letters as each line of its input says.
#[test]
fn child() {
    let Some(path) = std::env::var_os(PATH).map(PathBuf::from) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut builder = DeadLetterQueue::builder("orders").park_timeout(Duration::from_secs(30));
        if let Some(spill) = std::env::var_os(SPILL).map(PathBuf::from) {
            builder = builder.spill(spill);
        }
        let queue = builder.sqlite(path).await.unwrap();
        let mut number = 0;
        for line in std::io::stdin().lines() {
            for _ in 0..line.unwrap().parse::<u32>().unwrap() {
                number += 1;
                fail(&queue, number).await;
            }
            let counts = queue.snapshot();
            assert_eq!(counts.failures, counts.parked + counts.dropped_total());
            let spilled = counts.spilled_for(SpillReason::Error);
            println!("= {} {} {}", counts.parked, spilled, counts.dropped_total());
        }
    });
}

/// The counters of a process.
#[derive(Debug, PartialEq)]
struct Counts {
    parked: u64,
    spilled: u64,
    dropped: u64,
}

struct Process {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Process {
    fn start(path: &Path, spill: Option<&Path>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "sqlite_replaced::child", "--nocapture", "--test-threads=1"])
            .env(PATH, path);
        if let Some(spill) = spill {
            command.env(SPILL, spill);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn park(&mut self, letters: u32) -> Counts {
        writeln!(self.child.stdin.as_mut().unwrap(), "{letters}").unwrap();
        let mut line = String::new();
        while !line.contains("= ") {
            line.clear();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the child ended by itself");
        }
        let (_, counts) = line.split_once("= ").unwrap();
        let counts: Vec<u64> = counts.split_whitespace().map(|count| count.parse().unwrap()).collect();
        Counts { parked: counts[0], spilled: counts[1], dropped: counts[2] }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        assert!(self.child.wait().unwrap().code().is_none(), "it was to be killed");
    }
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("letters")).unwrap();
    let path = folder.path().join("letters/letters.db");
    (folder, path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", path.display()).into()
}

fn remove(path: &Path, suffixes: &[&str]) {
    for suffix in suffixes {
        std::fs::remove_file(beside(path, suffix)).unwrap();
    }
}

fn parked(parked: u64) -> Counts {
    Counts { parked, spilled: 0, dropped: 0 }
}

#[tokio::test]
async fn p22_letters_are_parked_after_the_open_file_was_removed() {
    for suffixes in [&[""][..], &["", "-wal", "-shm"], &["", "-wal"], &["", "-shm"]] {
        let (_folder, path) = folder();
        let mut process = Process::start(&path, None);
        assert_eq!(process.park(10), parked(10));
        remove(&path, suffixes);
        assert_eq!(process.park(10), parked(20));
        assert_eq!(process.park(2), parked(22));
        process.kill();
        let there = waiting(&open(&path).await).await;
        assert_eq!(
            there,
            (11..=22).collect::<Vec<_>>(),
            "those that were removed with the file: {suffixes:?}"
        );
    }
}

#[tokio::test]
async fn p22_no_letter_is_lost_with_the_log_or_its_index() {
    for suffixes in [&["-wal"][..], &["-shm"], &["-wal", "-shm"]] {
        let (_folder, path) = folder();
        let mut process = Process::start(&path, None);
        assert_eq!(process.park(10), parked(10));
        remove(&path, suffixes);
        assert_eq!(process.park(10), parked(20));
        process.kill();
        let there = waiting(&open(&path).await).await;
        assert_eq!(there, (1..=20).collect::<Vec<_>>(), "{suffixes:?}");
    }
}

/// Two processes with two indices of one log would overwrite each other.
#[tokio::test]
async fn p22_two_processes_lose_no_letter_with_the_index_of_their_log() {
    let (_folder, path) = folder();
    let mut processes = [Process::start(&path, None), Process::start(&path, None)];
    for round in 0..5 {
        for (at, process) in processes.iter_mut().enumerate() {
            let before = round * 10;
            assert_eq!(process.park(5), parked(before + 5));
            if at == round as usize % 2 {
                remove(&path, &["-shm"]);
            }
            assert_eq!(process.park(5), parked(before + 10));
        }
    }
    processes.into_iter().for_each(Process::kill);
    let mut there = waiting(&open(&path).await).await;
    there.sort_unstable();
    assert_eq!(there, (1..=50).flat_map(|number| [number; 2]).collect::<Vec<_>>());
}

#[tokio::test]
async fn p22_a_renamed_file_keeps_its_letters_and_a_new_one_is_created() {
    let (folder, path) = folder();
    let mut process = Process::start(&path, None);
    process.park(10);
    let old = folder.path().join("letters/old.db");
    std::fs::rename(&path, &old).unwrap();
    assert_eq!(process.park(10), parked(20));
    process.kill();
    assert_eq!(waiting(&open(&path).await).await, (11..=20).collect::<Vec<_>>());
    // The log was written back into the file before it was renamed.
    assert!(!beside(&old, "-wal").exists());
    assert_eq!(waiting(&open(&old).await).await, (1..=10).collect::<Vec<_>>());
}

/// A copy as `sqlite3 letters.db "VACUUM INTO …"` makes it.
fn back_up(path: &Path, to: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.execute("VACUUM INTO ?1", [to.to_str().unwrap()]).unwrap();
}

#[tokio::test]
async fn p22_a_backup_in_its_place_is_used() {
    let (folder, path) = folder();
    let mut process = Process::start(&path, None);
    process.park(5);
    let backup = folder.path().join("backup.db");
    back_up(&path, &backup);
    assert_eq!(process.park(5), parked(10));
    // The log of the replaced file stays. It does not belong to the backup.
    std::fs::rename(&backup, &path).unwrap();
    assert_eq!(process.park(10), parked(20));
    process.kill();
    let there = waiting(&open(&path).await).await;
    assert_eq!(there, (1..=5).chain(11..=20).collect::<Vec<_>>());
}

/// Files that another process reads cannot be removed.
#[tokio::test]
async fn p22_the_log_of_the_replaced_file_is_not_applied_to_a_backup() {
    let (folder, path) = folder();
    let mut process = Process::start(&path, None);
    process.park(5);
    let backup = folder.path().join("backup.db");
    back_up(&path, &backup);
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM letters").unwrap();
    process.park(40);
    std::fs::rename(&backup, &path).unwrap();
    assert_eq!(process.park(10), parked(55));
    process.kill();
    drop(reader);
    let there = waiting(&open(&path).await).await;
    assert_eq!(there, (1..=5).chain(46..=55).collect::<Vec<_>>());
}

/// Copies over an open file, as `cp` does: its inode stays. Another process does it, because this one would lose its
/// locks.
fn copy_over(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

#[tokio::test]
async fn p22_a_backup_that_is_copied_over_the_file_is_noticed() {
    for (with_log, letters) in [(true, 5), (true, 40), (false, 5), (false, 40)] {
        let (folder, path) = folder();
        let mut process = Process::start(&path, None);
        process.park(5);
        let backup = folder.path().join("backup.db");
        back_up(&path, &backup);
        process.park(letters);
        copy_over(&backup, &path);
        if !with_log {
            remove(&path, &["-wal", "-shm"]);
        }
        let last = u64::from(letters) + 15;
        assert_eq!(process.park(10), parked(last));
        process.kill();
        let there = waiting(&open(&path).await).await;
        assert!(there.ends_with(&(last - 9..=last).collect::<Vec<_>>()), "{with_log} {letters}: {there:?}");
        assert!(there.starts_with(&[1, 2, 3, 4, 5]), "{with_log} {letters}: {there:?}");
    }
}

#[tokio::test]
async fn p22_a_file_that_is_truncated_to_nothing_is_created_again() {
    let (_folder, path) = folder();
    let mut process = Process::start(&path, None);
    process.park(10);
    copy_over(Path::new("/dev/null"), &path);
    assert_eq!(process.park(10), parked(20));
    process.kill();
    assert_eq!(waiting(&open(&path).await).await, (11..=20).collect::<Vec<_>>());
}

/// Writes the log back into the file, as SQLite does from time to time.
fn checkpoint(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

#[tokio::test]
async fn p20_letters_for_an_overwritten_file_are_counted() {
    let (folder, path) = folder();
    let nonsense = folder.path().join("nonsense");
    std::fs::write(&nonsense, vec![0xa5; 40_960]).unwrap();
    let mut process = Process::start(&path, None);
    assert_eq!(process.park(10), parked(10));
    checkpoint(&path);
    assert_eq!(process.park(1), parked(11));
    copy_over(&nonsense, &path);
    assert_eq!(process.park(10), Counts { parked: 11, spilled: 0, dropped: 10 });
    std::fs::remove_file(&path).unwrap();
    assert_eq!(process.park(10), Counts { parked: 21, spilled: 0, dropped: 10 });
    process.kill();
    assert_eq!(waiting(&open(&path).await).await, (22..=31).collect::<Vec<_>>());
}

#[tokio::test]
async fn p22_letters_spill_while_no_file_can_be_created_and_return() {
    let (folder, path) = folder();
    let spill = folder.path().join("spill.db");
    let mut process = Process::start(&path, Some(&spill));
    assert_eq!(process.park(5), parked(5));
    std::fs::rename(path.parent().unwrap(), folder.path().join("away")).unwrap();
    assert_eq!(process.park(10), Counts { parked: 15, spilled: 10, dropped: 0 });
    process.kill();

    std::fs::rename(folder.path().join("away"), path.parent().unwrap()).unwrap();
    let queue = DeadLetterQueue::builder("orders").spill(spill).sqlite(&path).await.unwrap();
    until("the spill is empty", async || queue.snapshot().spilled == 0).await;
    assert_eq!(waiting(&queue).await, (1..=15).collect::<Vec<_>>());
}

#[tokio::test]
async fn p20_letters_that_no_store_takes_are_counted_as_dropped() {
    let (folder, path) = folder();
    let mut process = Process::start(&path, None);
    assert_eq!(process.park(5), parked(5));
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE things (id)").unwrap();
    std::fs::rename(&path, folder.path().join("old.db")).unwrap();
    std::fs::rename(&foreign, &path).unwrap();
    assert_eq!(process.park(10), Counts { parked: 5, spilled: 0, dropped: 10 });
    let things: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(things, 1, "the other program's file is as it was");

    // When a file can be created again, letters are parked again.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(process.park(3), Counts { parked: 8, spilled: 0, dropped: 10 });
    process.kill();
    assert_eq!(waiting(&open(&path).await).await, [16, 17, 18]);
}

#[tokio::test]
async fn reads_use_the_file_at_the_path() {
    let (folder, path) = folder();
    let queue = open(&path).await;
    fail(&queue, 1).await;
    let backup = folder.path().join("backup.db");
    back_up(&path, &backup);
    fail(&queue, 2).await;
    assert_eq!(waiting(&queue).await, [1, 2]);
    std::fs::rename(&backup, &path).unwrap();
    assert_eq!(waiting(&queue).await, [1]);
    assert_eq!(queue.snapshot().waiting, 1);
    remove(&path, &[""]);
    assert!(queue.is_empty().await.unwrap());
    assert_eq!(queue.snapshot().waiting, 0);
    assert_eq!(queue.purge(LetterFilter::all()).await.unwrap().purged, 0);
    fail(&queue, 3).await;

    // A handle on the replacement of an open file shares the store of the open file.
    back_up(&path, &backup);
    std::fs::rename(&backup, &path).unwrap();
    let again = open(&path).await;
    fail(&again, 4).await;
    fail(&queue, 5).await;
    assert_eq!(waiting(&again).await, [3, 4, 5]);
    assert_eq!(waiting(&queue).await, [3, 4, 5]);
}

//! Properties 20, 22 and 23: acknowledged letters survive `kill -9` at any moment.
//!
//! A child parks and redrives letters in one file, and is killed at random moments, again and again. Meanwhile
//! another process reads the file, a check inspects it, its disk is full for a time and the wall clock steps. Then each
//! acknowledged letter is there, complete and once, or was delivered, and each request was counted once.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{DeadLetterQueueBuilder, SpillSettings};
use fastrand::Rng;
use rusqlite::Connection;

use crate::kill::{Clock, Ledger, Victim, queues, send_all, there, work};
use crate::long::times;
use crate::support::until;

const PATH: &str = "CAMPANILE_TEST_LETTERS";
const SPILL: &str = "CAMPANILE_TEST_SPILL";
const VISITED: &str = "CAMPANILE_TEST_VISITED";

/// How long the store may take before a letter goes to the spill.
const AFTER: Duration = Duration::from_millis(20);

fn builder() -> DeadLetterQueueBuilder {
    DeadLetterQueue::builder("orders").park_timeout(Duration::from_secs(30))
}

fn with_spill(path: &Path) -> DeadLetterQueueBuilder {
    builder().spill(SpillSettings::new(path).after(AFTER))
}

/// Not a test: the child of the tests below, which works until it is killed.
#[test]
fn child() {
    let Some(path) = std::env::var_os(PATH).map(PathBuf::from) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let spill = std::env::var_os(SPILL).map(PathBuf::from);
        let builder = spill.as_deref().map_or_else(builder, with_spill);
        let queue = builder.sqlite(&path).await.unwrap();
        #[cfg(feature = "checks")]
        tokio::spawn(check(path));
        work(queue).await;
    });
}

/// Checks the file again and again, as health does. The results while the disk is full do not matter here.
#[cfg(feature = "checks")]
async fn check(path: PathBuf) {
    let check = campanile::health::SqliteCheck::builder(path).build().unwrap();
    loop {
        let _ = campanile::health::Check::check(&check).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Not a test: another process, which opens, reads and closes the files until its input ends.
#[test]
fn visitor() {
    let Some(paths) = std::env::var_os(VISITED) else {
        return;
    };
    std::thread::spawn(move || {
        loop {
            for path in std::env::split_paths(&paths) {
                // SQLite removes the log when it seems to be the last connection.
                if let Ok(visitor) = Connection::open(&path) {
                    let _ = visitor.query_row("SELECT count(*) FROM letters", [], |row| row.get::<_, i64>(0));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Ends when this is dropped.
struct Visitor(Child);

impl Visitor {
    fn start(paths: &[&Path]) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::visitor", "--nocapture", "--test-threads=1"])
            .env(VISITED, std::env::join_paths(paths).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

/// What happens to one child before it is killed.
fn torment(victim: &Victim, path: &Path, clock: &Clock, random: &mut Rng) {
    let moments = random.u64(1..5);
    for _ in 0..moments {
        std::thread::sleep(Duration::from_micros(random.u64(..20_000) / moments));
        match random.u8(..4) {
            // There is space for a few more letters, or for none.
            0 => victim.limit_files(Some(size(&path.with_extension("db-wal")) + random.u64(..60_000))),
            1 => victim.limit_files(None),
            _ => clock.step(random),
        }
    }
}

#[tokio::test]
async fn p22_p23_every_acknowledged_letter_survives_kills() {
    let rounds = times(40, 500);
    let mut random = Rng::with_seed(times(22, random_seed()).into());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let clock = Clock::new(folder.path());
    let _visitor = Visitor::start(&[&path]);
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        let victim = Victim::start("crash::child", round, &clock, &[(PATH, path.as_os_str())]);
        // Some are killed at the start.
        if round % 4 > 0 {
            while !ledger.record(&victim.line()) {}
            torment(&victim, &path, &clock, &mut random);
        } else {
            std::thread::sleep(Duration::from_micros(random.u64(..60_000)));
        }
        victim.kill().iter().for_each(|line| _ = ledger.record(line));
        let queue = builder().sqlite(&path).await.unwrap();
        ledger.assert_kept(&there(&queues(&queue)).await, round);
    }
    eprintln!("{ledger}");
    assert!(ledger.parked.len() > rounds as usize && !ledger.delivered.is_empty());
    assert!(!ledger.dropped.is_empty(), "the disk was never full");
    let queue = builder().sqlite(&path).await.unwrap();
    send_all(&queues(&queue)).await;
}

#[tokio::test]
async fn p22_p23_letters_in_the_spill_survive_kills() {
    let rounds = times(40, 500);
    let mut random = Rng::with_seed(times(23, random_seed()).into());
    let folder = tempfile::tempdir().unwrap();
    let (path, spill) = (folder.path().join("letters.db"), folder.path().join("spill.db"));
    let clock = Clock::new(folder.path());
    let _visitor = Visitor::start(&[&path, &spill]);
    let mut ledger = Ledger::default();
    let mut spilled = 0;
    for round in 0..rounds {
        let variables: [(&str, &OsStr); 2] = [(PATH, path.as_os_str()), (SPILL, spill.as_os_str())];
        let victim = Victim::start("crash::child", round, &clock, &variables);
        if round % 4 > 0 {
            while !ledger.record(&victim.line()) {}
            // Another process locks the store for longer than a caller waits. The rest happens meanwhile or later.
            let other = Connection::open(&path).unwrap();
            other.busy_timeout(Duration::from_secs(5)).unwrap();
            let locked = round % 4 > 1 && other.execute_batch("BEGIN IMMEDIATE").is_ok();
            if locked {
                std::thread::sleep(AFTER + Duration::from_micros(random.u64(..10_000)));
                if random.bool() {
                    other.execute_batch("ROLLBACK").unwrap();
                }
            }
            torment(&victim, &spill, &clock, &mut random);
        } else {
            std::thread::sleep(Duration::from_micros(random.u64(..60_000)));
        }
        victim.kill().iter().for_each(|line| _ = ledger.record(line));

        // A letter that is in both files counts once.
        let mut all = BTreeSet::new();
        for file in [&path, &spill] {
            let queue = builder().sqlite(file).await.unwrap();
            let there = there(&queues(&queue)).await;
            spilled += usize::from(file == &spill && !there.is_empty());
            all.extend(there);
        }
        ledger.assert_kept(&all, round);
    }
    eprintln!("{ledger}; the spill was needed in {spilled} rounds");
    assert!(ledger.parked.len() > rounds as usize && !ledger.delivered.is_empty());
    assert!(spilled > rounds as usize / 8, "the spill was needed in {spilled} of {rounds} rounds");
    let queue = with_spill(&spill).sqlite(&path).await.unwrap();
    let queues = queues(&queue);
    until("the spill is empty", async || queues.iter().all(|queue| queue.snapshot().spilled == 0)).await;
    ledger.assert_kept(&there(&queues).await, rounds);
    send_all(&queues).await;
}

/// A random seed in each long run, which prints it.
fn random_seed() -> u32 {
    let seed = fastrand::u32(..);
    eprintln!("the seed of a long run: {seed}");
    seed
}

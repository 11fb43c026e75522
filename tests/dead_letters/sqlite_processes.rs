//! Property 25: several real processes work on one file.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use campanile::DeadLetterQueue;
use campanile::dead_letter::{LetterFilter, Payload, Redrive};
use tower::{BoxError, Service, service_fn};

use crate::support::{Order, fail, open, waiting};

const PATH: &str = "CAMPANILE_TEST_SHARED_LETTERS";
const TASK: &str = "CAMPANILE_TEST_TASK";

fn say(word: &str, number: u64) {
    let line = format!("{word} {number}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Not a test: the other process of the tests below, which works until its input ends.
#[test]
fn child() {
    let Ok(path) = std::env::var(PATH) else {
        return;
    };
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            over.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let queue = open(path.as_ref()).await;
        while !over.load(std::sync::atomic::Ordering::SeqCst) {
            match std::env::var(TASK).unwrap().as_str() {
                "look" => look_and_purge(&queue).await,
                "redrive" => {
                    let service = service_fn(|order: Order| async move {
                        say("delivered", order.number.into());
                        tokio::task::yield_now().await;
                        Ok::<_, BoxError>(())
                    });
                    queue.redrive(service, Redrive::all().concurrency(4)).await.unwrap();
                }
                other => panic!("{other}"),
            }
        }
    });
}

/// The work of an operator: lists letters, and purges every tenth.
async fn look_and_purge(queue: &DeadLetterQueue) {
    let page = queue.list(LetterFilter::all().limit(50)).await.unwrap();
    let before = queue.groups(LetterFilter::all()).await.unwrap();
    let letters: u64 = before.iter().map(|group| group.letters).sum();
    assert!(letters <= 600 && queue.len().await.unwrap() <= 600);
    for letter in page {
        let Payload::Value(value) = letter.payload else { panic!("{:?}", letter.payload) };
        let number = value["number"].as_u64().unwrap();
        if number.is_multiple_of(10) && queue.purge(LetterFilter::id(letter.id)).await.unwrap().purged == 1 {
            say("purged", number);
        }
    }
    say("looked", letters);
}

struct Other {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Other {
    fn start(path: &Path, task: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sqlite_processes::child", "--nocapture"])
            .envs([(PATH, path.as_os_str()), (TASK, task.as_ref())])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Ends the process, and returns all numbers that it printed after `word`.
    fn end(mut self, word: &str) -> Vec<u64> {
        drop(self.child.stdin.take());
        let said = self.lines.lines().map(Result::unwrap);
        let prefix = format!("{word} ");
        let numbers = said.filter_map(|line| Some(line.rsplit_once(&prefix)?.1.parse().unwrap())).collect();
        assert!(self.child.wait().unwrap().success(), "the other process failed");
        numbers
    }
}

/// Records the letters that arrive.
fn noting() -> (
    impl Service<Order, Response = (), Error = BoxError, Future: Send> + Clone + Send + 'static,
    Arc<Mutex<Vec<u64>>>,
) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let service = service_fn(move |order: Order| {
        notes.lock().unwrap().push(order.number.into());
        async { Ok(()) }
    });
    (service, seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p25_one_process_lists_and_purges_while_another_parks_and_redrives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let queue = open(&path).await;
    let other = Other::start(&path, "look");
    let parking: Vec<_> = (0..4)
        .map(|task| {
            let queue = queue.clone();
            tokio::spawn(async move {
                for number in 0..150 {
                    fail(&queue, task * 150 + number).await;
                }
            })
        })
        .collect();
    let (service, seen) = noting();
    let slowly = || Redrive::all().concurrency(4).rate(400.0);
    while !parking.iter().all(tokio::task::JoinHandle::is_finished) {
        queue.redrive(service.clone(), slowly()).await.unwrap();
    }
    for task in parking {
        task.await.unwrap();
    }
    queue.redrive(service.clone(), slowly()).await.unwrap();
    let purged = other.end("purged");
    queue.redrive(service, Redrive::all()).await.unwrap();

    assert_eq!(waiting(&queue).await, [0_u64; 0]);
    assert!(!purged.is_empty(), "the other process was too late for all of them");
    let seen = seen.lock().unwrap().clone();
    let once: BTreeSet<u64> = seen.iter().copied().collect();
    assert_eq!(once.len(), seen.len(), "a letter was sent twice");
    // A letter may be purged while it is being sent.
    let all: BTreeSet<u64> = seen.into_iter().chain(purged).collect();
    assert_eq!(all, (0..600).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p25_two_processes_redrive_one_file_and_send_no_letter_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let queue = open(&path).await;
    for number in 0..300 {
        fail(&queue, number).await;
    }
    let other = Other::start(&path, "redrive");
    let (service, seen) = noting();
    while !queue.is_empty().await.unwrap() {
        queue.redrive(service.clone(), Redrive::all().rate(300.0)).await.unwrap();
    }
    let theirs = other.end("delivered");
    let mut all = seen.lock().unwrap().clone();
    assert!(!all.is_empty() && !theirs.is_empty());
    all.extend(theirs);
    all.sort_unstable();
    assert_eq!(all, (0..300).collect::<Vec<_>>());
}

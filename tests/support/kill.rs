//! Child processes that park and redrive until they are killed, and a ledger of the results that they report.
//!
//! A child has eight queues, each with one caller. It writes `try` before each request and then, by the counts of the
//! queue, `parked` or `dropped`; and `delivered` when a redrive has sent a letter. It compares the counts of the
//! queue with its own, and exits with an error if they differ. The test then fails, because it expects the child to
//! be killed.

#![allow(dead_code, unreachable_pub)] // Each test binary uses some of them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{LetterFilter, Payload, Redrive};
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::wall;

const FIRST: &str = "CAMPANILE_TEST_FIRST";

/// The callers of one child. Each has its own queue.
const CALLERS: u32 = 8;

/// The range of numbers of one child.
const EACH: u32 = 1_000_000;

/// The shortest lease, so that letters of a killed child are free soon.
const LEASE: Duration = Duration::from_millis(100);

/// The largest step of the wall clock.
const STEP: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    number: u32,
    item: String,
}

fn order(number: u32) -> Order {
    Order { number, item: "bell ".repeat(1 + number as usize % 97) }
}

/// Writes each line at once: half a line could name another letter.
fn say(word: &str, number: u32) {
    std::io::stdout().lock().write_all(format!("@ {word} {number}\n").as_bytes()).unwrap();
}

/// The queues of the callers, in the store of `queue`.
pub fn queues(queue: &DeadLetterQueue) -> Vec<DeadLetterQueue> {
    (0..CALLERS).map(|caller| queue.named(format!("orders-{caller}"))).collect()
}

// ===== the child =====

/// Parks and redrives until it is killed.
pub async fn work(queue: DeadLetterQueue) {
    // A panic in one task must end the process.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        std::process::exit(101);
    }));
    let first: u32 = std::env::var(FIRST).unwrap().parse().unwrap();
    let queues = queues(&queue);
    for (caller, queue) in (0..).zip(&queues) {
        tokio::spawn(park(queue.clone(), first + caller));
    }
    loop {
        for queue in &queues {
            redrive(queue, |number| say("delivered", number)).await;
        }
    }
}

async fn park(queue: DeadLetterQueue, first: u32) {
    let service =
        service_fn(|order: Order| async move { Err::<(), _>(format!("order {} refused", order.number)) });
    let layer = queue.layer();
    let (mut parked, mut dropped) = (0, 0);
    for number in (first..first + EACH).step_by(CALLERS as usize) {
        say("try", number);
        let error = layer.layer(service).oneshot(order(number)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("order {number} refused"));
        let counts = queue.snapshot();
        let requests = parked + dropped + 1;
        assert_eq!(counts.failures, requests, "{counts:?}");
        assert_eq!(counts.parked + counts.dropped_total(), requests, "{counts:?}");
        if counts.parked > parked {
            parked += 1;
            say("parked", number);
        } else {
            dropped += 1;
            say("dropped", number);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Redrives all letters; one in eight fails again. If the store fails, the caller runs it again.
async fn redrive(queue: &DeadLetterQueue, mut delivered: impl FnMut(u32)) {
    let service = service_fn(move |found: Order| {
        assert_eq!(found, order(found.number), "a letter is incomplete");
        let done = fastrand::u8(..8) > 0;
        if done {
            delivered(found.number);
        }
        async move { if done { Ok(()) } else { Err(BoxError::from("again")) } }
    });
    let all = Redrive::all().concurrency(16).lease(LEASE).stop_after(1_000).set_aside_after(0);
    if queue.redrive(service, all).await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The lines of a process that begin with `@ `.
pub fn lines(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            // The test harness may have written the beginning of the line.
            if let Some((_, line)) = String::from_utf8_lossy(&line).split_once("@ ")
                && sender.send(line.to_owned()).is_err()
            {
                break;
            }
        }
    });
    lines
}

/// A child process that runs a test and will be killed.
pub struct Victim {
    child: Child,
    lines: Receiver<String>,
}

impl Victim {
    /// Starts the child of a round.
    pub fn start(test: &str, round: u32, clock: &Clock, variables: &[(&str, &OsStr)]) -> Self {
        // Without the trap, a signal ends the program at its first write beyond the limit.
        let mut command = Command::new("sh");
        command.args(["-c", r#"trap "" XFSZ && exec "$0" "$@""#]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
        command.env(FIRST, (EACH * round).to_string()).envs(variables.iter().copied());
        clock.set_on(&mut command);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = lines(child.stdout.take().unwrap());
        Self { child, lines }
    }

    pub fn line(&self) -> String {
        self.lines.recv().expect("the child ended by itself")
    }

    /// Limits the size of the child's files, as on a full disk, or removes the limit.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let pid = self.child.id().to_string();
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        // If the child has ended, `kill` reports it.
        let _ = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limit}:")]).status();
    }

    /// Kills it. Returns its remaining lines.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        assert!(self.child.wait().unwrap().code().is_none(), "it ended before it was killed");
        self.lines.iter().collect()
    }
}

// ===== the ledger =====

#[derive(Default)]
pub struct Ledger {
    tried: BTreeSet<u32>,
    pub parked: BTreeSet<u32>,
    pub dropped: BTreeSet<u32>,
    pub delivered: BTreeSet<u32>,
}

impl Ledger {
    /// Records a line. Returns whether it reports a parked letter.
    pub fn record(&mut self, line: &str) -> bool {
        let (word, number) = line.split_once(' ').unwrap();
        let number = number.parse().unwrap();
        match word {
            "try" => assert!(self.tried.insert(number), "{line}"),
            "parked" => assert!(self.tried.contains(&number) && self.parked.insert(number), "{line}"),
            "dropped" => assert!(self.tried.contains(&number) && self.dropped.insert(number), "{line}"),
            "delivered" => drop(self.delivered.insert(number)),
            other => panic!("{other}"),
        }
        word == "parked"
    }

    /// Checks that each request was counted exactly once, as parked or dropped. The last request of each caller may be
    /// missing, because its process was killed.
    pub fn assert_accounted(&self) {
        assert!(self.parked.is_disjoint(&self.dropped));
        let open = self
            .tried
            .iter()
            .filter(|number| !self.parked.contains(number) && !self.dropped.contains(number));
        let mut callers = BTreeSet::new();
        for number in open {
            assert!(callers.insert((number / EACH, number % CALLERS)), "{number} was counted nowhere");
        }
        assert_eq!(self.parked.len() + self.dropped.len() + callers.len(), self.tried.len());
    }

    /// Checks that each parked letter is still there or was delivered.
    pub fn assert_kept(&self, there: &BTreeSet<u32>, round: u32) {
        self.assert_accounted();
        let lost: Vec<_> =
            self.parked.difference(&self.delivered).filter(|number| !there.contains(number)).collect();
        assert!(lost.is_empty(), "round {round}: acknowledged letters are lost: {lost:?}");
        let unknown: Vec<_> = there.difference(&self.tried).collect();
        assert!(unknown.is_empty(), "round {round}: letters of no request: {unknown:?}");
    }
}

impl std::fmt::Display for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (tried, parked, dropped) = (self.tried.len(), self.parked.len(), self.dropped.len());
        write!(f, "{tried} requests, {parked} parked, {dropped} dropped, {} delivered", self.delivered.len())
    }
}

/// The numbers of the letters in these queues. Checks that each letter is complete and unique, and that counts agree.
pub async fn there(queues: &[DeadLetterQueue]) -> BTreeSet<u32> {
    let mut all = BTreeSet::new();
    for queue in queues {
        let letters = queue.list(LetterFilter::all()).await.unwrap();
        for letter in &letters {
            let Payload::Value(value) = &letter.payload else { panic!("{letter:?}") };
            let found: Order = serde_json::from_value(value.clone()).unwrap();
            assert_eq!(found, order(found.number), "a letter is incomplete");
            assert!(all.insert(found.number), "letter {} is there twice", found.number);
        }
        assert_eq!(queue.len().await.unwrap(), letters.len() as u64);
        assert_eq!(queue.snapshot().waiting, letters.len() as u64);
        let groups = queue.groups(LetterFilter::all()).await.unwrap();
        assert_eq!(groups.iter().map(|group| group.letters).sum::<u64>(), letters.len() as u64);
    }
    all
}

/// Redrives all letters that are left, and checks that each was sent.
pub async fn send_all(queues: &[DeadLetterQueue]) {
    let mut left = there(queues).await;
    for queue in queues {
        while !queue.is_empty().await.unwrap() {
            redrive(queue, |number| {
                left.remove(&number);
            })
            .await;
        }
    }
    assert!(left.is_empty(), "not sent: {left:?}");
}

// ===== the wall clock =====

/// The wall clock of the children.
pub struct Clock {
    file: File,
    path: PathBuf,
}

impl Clock {
    pub fn new(folder: &Path) -> Self {
        let path = folder.join("clock");
        let mut file = File::create_new(&path).unwrap();
        file.write_all(&0_i64.to_ne_bytes()).unwrap();
        Self { file, path }
    }

    /// Sets the clock to a random time near the true time.
    pub fn step(&self, random: &mut Rng) {
        let most = i64::try_from(STEP.as_nanos()).unwrap();
        let offset = random.i64(-most..most).to_ne_bytes();
        #[cfg(unix)]
        std::os::unix::fs::FileExt::write_all_at(&self.file, &offset, 0).unwrap();
        #[cfg(not(unix))]
        let _ = (&self.file, offset);
    }

    fn set_on(&self, command: &mut Command) {
        if let Some(library) = wall::library() {
            command.env("LD_PRELOAD", library).env(wall::CLOCK, &self.path);
        }
    }
}

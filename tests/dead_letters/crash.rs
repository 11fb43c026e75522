//! Properties 22 and 23: what a caller was told is true after `kill -9`, whatever was under way.
//!
//! A child parks and redrives; it says on its output what was parked and what was delivered, each after the fact. It
//! is killed at a random moment, again and again, on one and the same file. An acknowledged letter is there then,
//! whole and once, or it was delivered.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{Filter, Payload, Redrive};
use tower::{BoxError, service_fn};

use crate::long::times;
use crate::support::{Order, fail, open, order};

const PATH: &str = "CAMPANILE_TEST_LETTERS";
const FIRST: &str = "CAMPANILE_TEST_FIRST";

/// The shortest: what a child that was killed held is free soon.
const LEASE: Duration = Duration::from_millis(100);

/// One write for each line: a half one would name another letter.
fn say(word: &str, number: u32) {
    let line = format!("{word} {number}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Not a test of its own: the child of the one below, parking and redriving until it is killed.
#[test]
fn child() {
    let Ok(path) = std::env::var(PATH) else {
        return;
    };
    let first: u32 = std::env::var(FIRST).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let queue = open(path.as_ref()).await;
        for task in 0..8 {
            let queue = queue.clone();
            tokio::spawn(async move {
                for round in 0..100_000 {
                    let number = first + task + 8 * round;
                    fail(&queue, number).await;
                    say("parked", number);
                }
            });
        }
        loop {
            redrive(&queue, |number| say("delivered", number)).await;
            assert_eq!(queue.snapshot().dropped_total(), 0);
        }
    });
}

/// Sends all there is; one letter in eight fails again.
async fn redrive(queue: &DeadLetterQueue, mut delivered: impl FnMut(u32)) {
    let service = service_fn(move |order: Order| {
        let done = fastrand::u8(..8) > 0;
        if done {
            delivered(order.number);
        }
        async move { if done { Ok(()) } else { Err(BoxError::from("again")) } }
    });
    let all = Redrive::all().concurrency(16).lease(LEASE).stop_after(1_000).set_aside_after(0);
    queue.redrive(service, all).await.unwrap();
}

#[derive(Default)]
struct Told {
    parked: BTreeSet<u32>,
    delivered: BTreeSet<u32>,
}

impl Told {
    fn hear(&mut self, line: &str) {
        // Behind what the test's own frame writes without a newline.
        for (word, told) in [("parked ", &mut self.parked), ("delivered ", &mut self.delivered)] {
            if let Some((_, number)) = line.rsplit_once(word) {
                assert!(told.insert(number.parse().unwrap()) || word == "delivered ", "{line}");
            }
        }
    }
}

/// Lets a child work for about `time`, counted from its start or from its first letter, and kills it.
fn crash(path: &Path, first: u32, time: Duration, at_work: bool, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .env(PATH, path)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (lines, heard) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in output.split(b'\n').map_while(Result::ok) {
            lines.send(String::from_utf8(line).unwrap()).unwrap();
        }
    });
    if at_work {
        loop {
            let line = heard.recv().expect("the child ended by itself");
            told.hear(&line);
            if line.contains("parked ") {
                break;
            }
        }
    }
    std::thread::sleep(time);
    child.kill().unwrap();
    assert!(child.wait().unwrap().code().is_none(), "it was to be killed");
    heard.iter().for_each(|line| told.hear(&line));
    reader.join().unwrap();
}

/// The numbers of the letters that are there, each read to its end.
async fn there(queue: &DeadLetterQueue) -> BTreeSet<u32> {
    let letters = queue.list(Filter::all()).await.unwrap();
    let numbers: BTreeSet<u32> = letters
        .iter()
        .map(|letter| match &letter.payload {
            Payload::Value(value) => {
                let found: Order = serde_json::from_value(value.clone()).unwrap();
                assert_eq!(found, order(found.number), "a letter is not whole");
                found.number
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(numbers.len(), letters.len(), "a letter is there twice");
    // The sums agree with what they are sums of.
    assert_eq!(queue.len().await.unwrap(), numbers.len() as u64);
    assert_eq!(queue.snapshot().waiting, numbers.len() as u64);
    let groups = queue.groups(Filter::all()).await.unwrap();
    assert_eq!(groups.iter().map(|group| group.letters).sum::<u64>(), numbers.len() as u64);
    numbers
}

#[tokio::test]
async fn p22_p23_every_acknowledged_letter_survives_kills() {
    let rounds = times(40, 200);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let mut told = Told::default();
    for round in 0..rounds {
        let at_work = round % 4 > 0;
        let time = Duration::from_micros(fastrand::u64(..if at_work { 20_000 } else { 60_000 }));
        crash(&path, 1_000_000 * round, time, at_work, &mut told);

        let queue = open(&path).await;
        let there = there(&queue).await;
        let lost: Vec<_> = told
            .parked
            .iter()
            .filter(|number| !there.contains(number) && !told.delivered.contains(number))
            .collect();
        assert!(lost.is_empty(), "round {round}: acknowledged letters are gone: {lost:?}");
    }
    assert!(told.parked.len() > rounds as usize && !told.delivered.is_empty());

    // What is left can all be sent.
    let queue = open(&path).await;
    let mut left = there(&queue).await;
    while !queue.is_empty().await.unwrap() {
        redrive(&queue, |number| {
            left.remove(&number);
        })
        .await;
    }
    assert!(left.is_empty(), "not sent: {left:?}");
}

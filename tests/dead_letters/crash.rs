//! Property 22: what a caller was told is there after `kill -9`.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use campanile::dead_letter::{Filter, Payload};

use crate::support::{fail, open};

const PATH: &str = "CAMPANILE_TEST_LETTERS";
const FIRST: &str = "CAMPANILE_TEST_FIRST";

/// Not a test of its own: the child of the one below, parking until it is killed.
#[test]
fn child() {
    let Ok(path) = std::env::var(PATH) else {
        return;
    };
    let first: u32 = std::env::var(FIRST).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let queue = open(path.as_ref()).await;
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    for round in 0..100_000 {
                        let number = first + task + 8 * round;
                        fail(&queue, number).await;
                        // One write for each line: a half one would name another letter.
                        let line = format!("parked {number}\n");
                        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Lets a child park for about `time` and kills it; gives the numbers that it said were parked.
fn crash(path: &Path, first: u32, time: Duration) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture"])
        .env(PATH, path)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut told = Vec::new();
    let mut line = String::new();
    let mut read = |told: &mut Vec<u64>| {
        line.clear();
        let more = lines.read_line(&mut line).unwrap() > 0;
        if line.ends_with('\n')
            && let Some((_, number)) = line.trim().rsplit_once("parked ")
        {
            told.push(number.parse().unwrap());
        }
        more
    };
    while told.is_empty() && read(&mut told) {}
    std::thread::sleep(time);
    child.kill().unwrap();
    while read(&mut told) {}
    child.wait().unwrap();
    told
}

#[tokio::test]
async fn p22_every_acknowledged_letter_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.db");
    let mut told = BTreeSet::new();
    for round in 0..6_u32 {
        let time = Duration::from_micros(u64::from(round) * 7_919 % 40_000);
        let numbers = crash(&path, 1_000_000 * round, time);
        assert!(!numbers.is_empty(), "the child parked nothing");
        told.extend(numbers);

        let queue = open(&path).await;
        let letters = queue.list(Filter::all()).await.unwrap();
        let there: Vec<u64> = letters
            .iter()
            .map(|letter| match &letter.payload {
                Payload::Value(order) => order["number"].as_u64().unwrap(),
                other => panic!("{other:?}"),
            })
            .collect();
        let once: BTreeSet<u64> = there.iter().copied().collect();
        assert_eq!(once.len(), there.len(), "a letter is there twice");
        assert_eq!(told.difference(&once).count(), 0, "acknowledged letters are missing");
        assert_eq!(queue.len().await.unwrap(), there.len() as u64);
    }
}

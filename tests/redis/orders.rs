//! A request, a service that fails it, and child processes.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use campanile::DeadLetterQueue;
use campanile::dead_letter::{LetterFilter, Payload};
use campanile::store::RedisStore;
use serde::{Deserialize, Serialize};
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::kill::lines;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) number: u32,
    pub(crate) item: String,
}

/// A store with a timeout for a busy machine.
pub(crate) async fn store(url: &str) -> RedisStore {
    RedisStore::builder(url).response_timeout(Duration::from_secs(20)).open().await.unwrap()
}

/// A queue with the longest park timeout, for a busy machine.
pub(crate) async fn queue(url: &str) -> DeadLetterQueue {
    let builder =
        DeadLetterQueue::builder("orders").capacity(1_000_000).park_timeout(Duration::from_secs(30));
    builder.on(store(url).await).unwrap()
}

/// Sends one order through the layer of `queue` to a service that fails it.
pub(crate) async fn fail(queue: &DeadLetterQueue, number: u32) -> BoxError {
    let service =
        service_fn(|order: Order| async move { Err::<(), _>(format!("order {} refused", order.number)) });
    let order = Order { number, item: "bell".to_owned() };
    queue.layer().layer(service).oneshot(order).await.unwrap_err()
}

/// The numbers of the orders that wait, oldest first. Fails if an order is incomplete.
pub(crate) async fn waiting(queue: &DeadLetterQueue) -> Vec<u32> {
    let letters = queue.list(LetterFilter::all()).await.unwrap();
    letters
        .iter()
        .map(|letter| match &letter.payload {
            Payload::Value(value) => {
                let order: Order = serde_json::from_value(value.clone()).unwrap();
                assert_eq!(order.item, "bell");
                order.number
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Writes each line at once: half a line could name another letter.
pub(crate) fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("@ {line}\n").as_bytes()).unwrap();
}

/// A child process that runs a test, and the lines that it writes.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    pub(crate) fn start(test: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line; `None` after the process has ended.
    pub(crate) fn line(&self) -> Option<String> {
        self.lines.recv().ok()
    }

    /// Ends its input, for which the child may wait.
    pub(crate) fn go(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Kills it. Returns its remaining lines.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        assert!(self.child.wait().unwrap().code().is_none(), "it ended before it was killed");
        self.lines.iter().collect()
    }

    /// Waits for its end. Returns its remaining lines.
    pub(crate) fn end(mut self) -> Vec<String> {
        let lines = self.lines.iter().collect();
        assert!(self.child.wait().unwrap().success());
        lines
    }
}

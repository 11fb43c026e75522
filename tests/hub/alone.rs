//! A test in a process of its own: this test binary, started anew.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

const ALONE: &str = "CAMPANILE_TEST_ALONE";

/// How long a child may take for what it is waited for, and how often it is looked.
const LIMIT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(10);

/// Whether this process is the one of `test`. It is if nothing else runs in it.
pub fn is_alone(test: &str) -> bool {
    env::var(ALONE).is_ok_and(|alone| alone == test)
}

/// Runs `body` in a process that runs only this test. Returns its output, or `None` in that process.
pub fn alone(test: &str, body: impl FnOnce()) -> Option<String> {
    if is_alone(test) {
        body();
        return None;
    }
    let (status, lines) = Child::start(test, &[]).end();
    assert!(status.success(), "{test} in a process of its own: {status}\n{}", lines.join("\n"));
    Some(lines.join("\n"))
}

/// Tells the parent of this process something.
pub fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("@ {line}\n").as_bytes()).unwrap();
}

/// A running child. It is killed when its value is dropped.
pub struct Child {
    process: std::process::Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Child {
    pub fn start(test: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
        command.env(ALONE, test).envs(variables.iter().copied());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        pass_on(process.stdout.take().unwrap(), sender.clone());
        pass_on(process.stderr.take().unwrap(), sender);
        Self { process, lines, seen: Vec::new() }
    }

    /// Waits for a line that contains `text`, and returns what follows it.
    pub fn wait_for(&mut self, text: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(LIMIT) else {
                panic!("the child did not say {text:?}; it said:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line.clone());
            if let Some((_, rest)) = line.split_once(text) {
                return rest.to_owned();
            }
        }
    }

    pub fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits until it ends, and returns all that it said.
    pub fn end(mut self) -> (ExitStatus, Vec<String>) {
        let polls = (0..LIMIT.as_millis() / POLL.as_millis()).find_map(|_| {
            std::thread::sleep(POLL);
            self.process.try_wait().unwrap()
        });
        let status = polls.unwrap_or_else(|| panic!("the child did not end within {LIMIT:?}"));
        let mut seen = std::mem::take(&mut self.seen);
        seen.extend(self.lines.iter());
        (status, seen)
    }
}

/// Sends the lines of a pipe.
fn pass_on(pipe: impl Read + Send + 'static, lines: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

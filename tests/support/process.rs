//! A child process that is killed when its value is dropped.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tokio::{sync::watch, time};

/// The interval between checks whether a program is ready, and their number.
const POLL: Duration = Duration::from_millis(50);
const POLLS: u32 = 600;

/// A running program and its output.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: watch::Receiver<String>,
    stderr: watch::Receiver<String>,
}

impl Process {
    /// Starts a program without input. Of the environment it gets `PATH` only.
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let stdout = capture(child.stdout.take().expect("a piped stdout"));
        let stderr = capture(child.stderr.take().expect("a piped stderr"));
        Self { name, child, stdout, stderr }
    }

    /// The complete lines that it wrote to standard output so far.
    pub fn stdout(&self) -> watch::Receiver<String> {
        self.stdout.clone()
    }

    /// The complete lines that it wrote to standard error so far.
    pub fn stderr(&self) -> watch::Receiver<String> {
        self.stderr.clone()
    }

    /// Waits until `ready` returns `true`.
    ///
    /// # Errors
    ///
    /// The output of the program, if it ends or is not ready in time.
    pub async fn ready(&mut self, ready: impl AsyncFn() -> bool) -> Result<(), String> {
        for _ in 0..POLLS {
            let is_ready = ready().await;
            // After `ready`, because another process may answer on the port.
            if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
                return Err(format!("{} ended with {status}:\n{}", self.name, self.output()));
            }
            if is_ready {
                return Ok(());
            }
            time::sleep(POLL).await;
        }
        Err(format!("{} was not ready after {:?}:\n{}", self.name, POLL * POLLS, self.output()))
    }

    /// Sends it a signal, with a name for `kill -s`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("the program `kill` exists");
        assert!(sent.success(), "cannot send the signal {name} to {}", self.name);
    }

    /// Waits until it ends.
    pub fn wait(&mut self) {
        let _ = self.child.wait();
    }

    fn output(&self) -> String {
        format!("{}{}", *self.stdout.borrow(), *self.stderr.borrow())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Collects the lines of a pipe on a thread. The thread ends with the pipe.
fn capture(pipe: impl Read + Send + 'static) -> watch::Receiver<String> {
    let (lines, captured) = watch::channel(String::new());
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!(pipe.read_until(b'\n', &mut line), Ok(read) if read > 0) {
            lines.send_modify(|all| all.push_str(&String::from_utf8_lossy(&line)));
            line.clear();
        }
    });
    captured
}

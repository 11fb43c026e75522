//! Runs a program and kills it at its timeout, with the processes that it started.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::{Pin, pin};
use std::process::Stdio;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::descendants::EnvMarker;
use super::done::{Done, Leftover, MAX_TEXT};
use super::record::HealingOutcome;
use crate::base::error::ConfigError;
use crate::health::awake::within;

/// The output is read for this long after the end of the program: a process that it left behind may never close the pipe.
const OUTPUT_GRACE: Duration = Duration::from_millis(250);

/// The variables that a command inherits. On Windows few programs start without `SYSTEMROOT`.
const INHERITED: &[&str] =
    if cfg!(windows) { &["PATH", "HOME", "LANG", "SYSTEMROOT"] } else { &["PATH", "HOME", "LANG"] };

/// How long to wait for the end of a killed process. A process of another user cannot be killed.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// A program, its arguments and its environment.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    pub(super) arguments: Vec<OsString>,
    /// Variables that are set for the program.
    pub(super) variables: Vec<(OsString, OsString)>,
    /// Whether the program inherits the whole environment.
    pub(super) inherits: bool,
}

impl Program {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        const SETTING: &str = "healing.command";
        let arguments = &*self.arguments;
        let program = arguments.first().map(OsString::as_os_str).unwrap_or_default();
        let allowed = "a program and its arguments, as separate items";
        ConfigError::check(!program.is_empty(), SETTING, arguments, allowed)?;
        // The name of a program may contain spaces, but a shell command line is more likely.
        let is_line = arguments.len() == 1
            && program.to_string_lossy().contains(char::is_whitespace)
            && !Path::new(program).is_file();
        let allowed = "a program and its arguments, as separate items: no shell splits a line";
        ConfigError::check(!is_line, SETTING, program, allowed)?;
        let invalid = arguments.iter().find(|argument| has(argument, 0));
        invalid.map_or(Ok(()), |invalid| {
            ConfigError::check(false, SETTING, invalid, "arguments without a zero byte")
        })?;
        let invalid = self
            .variables
            .iter()
            .find(|(name, value)| name.is_empty() || has(name, b'=') || has(name, 0) || has(value, 0));
        // The value is not shown: it may be a secret.
        let name = invalid.map(|(name, _)| name);
        let allowed = "a name without `=`, and a name and a value without zero bytes";
        name.map_or(Ok(()), |name| ConfigError::check(false, "healing.env", name, allowed))
    }

    fn command(&self) -> Option<Command> {
        let (program, arguments) = self.arguments.split_first()?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        if !self.inherits {
            command.env_clear();
            command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        // A separate process group, so that its children are killed with it.
        #[cfg(unix)]
        command.process_group(0);
        Some(command)
    }

    /// Runs the program to its end, but at most for `limit`, and then kills what is left of its process group. After a
    /// timeout, or when the future is dropped, processes that left the group are killed too.
    pub(super) async fn run(&self, limit: Duration) -> Done {
        let Some(mut command) = self.command() else {
            return Done::failed("the command names no program");
        };
        let marker = EnvMarker::new();
        if cfg!(unix) {
            command.envs([marker.variable()]);
        }
        // Before the program starts, so that its end is not missed.
        let mut exits = match ExitWatch::new() {
            Ok(exits) => exits,
            Err(error) => return Done::failed(format!("cannot watch for the end of the program: {error}")),
        };
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                let program = command.as_std().get_program().to_string_lossy();
                return Done::failed(format!("`{program}` cannot be started: {error}"));
            }
        };
        let mut group = Group::new(&child, marker);
        let mut output = Output { out: child.stdout.take(), err: child.stderr.take(), tail: Tail::default() };
        let in_time =
            within(limit, output.read_until(exits.exit_of(&mut child, &mut group))).await.ended.is_some();
        if in_time {
            group.kill();
        } else {
            group.kill_all();
            let _ = child.start_kill();
        }
        let status = timeout(KILL_GRACE, output.read_until(child.wait())).await;
        let (outcome, exit_code) = match &status {
            _ if !in_time => (Err(HealingOutcome::TimedOut), None),
            Ok(Ok(status)) if status.success() => (Ok(()), status.code()),
            Ok(Ok(status)) => (Err(failed(status.to_string())), status.code()),
            Ok(Err(error)) => (Err(failed(format!("cannot read its exit status: {error}"))), None),
            Err(_) => {
                (Err(failed(format!("it did not end within {KILL_GRACE:?} after it was killed"))), None)
            }
        };
        let leftover = if status.is_ok() {
            group.reaped();
            None
        } else {
            Some(Leftover::spawn(async move {
                let _ = child.wait().await;
                group.reaped();
            }))
        };
        let _ = timeout(OUTPUT_GRACE, output.read_until_closed()).await;
        Done { outcome, output: output.tail.text(), exit_code, leftover }
    }
}

fn has(text: &OsStr, byte: u8) -> bool {
    text.as_encoded_bytes().contains(&byte)
}

fn failed(reason: String) -> HealingOutcome {
    HealingOutcome::Failed(reason)
}

/// Waits for the end of a program without reaping it: until it is reaped, no other process group can get its id.
struct ExitWatch {
    #[cfg(all(unix, not(target_os = "openbsd")))]
    children: tokio::signal::unix::Signal,
}

impl ExitWatch {
    #[cfg(all(unix, not(target_os = "openbsd")))]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self { children: signal(SignalKind::child())? })
    }

    #[cfg(all(unix, not(target_os = "openbsd")))]
    async fn exit_of(&mut self, _: &mut Child, group: &mut Group) {
        use rustix::process::{WaitId, WaitIdOptions, waitid};

        /// How often to look when no signal arrives.
        const INTERVAL: Duration = Duration::from_secs(1);

        let Some(leader) = group.leader else { return };
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // An error means that the process no longer exists.
        while let Ok(None) = waitid(WaitId::Pid(leader), look) {
            // The signal may be blocked, or handled by other code of this process.
            let _ = timeout(INTERVAL, self.children.recv()).await;
        }
    }

    #[cfg(any(not(unix), target_os = "openbsd"))]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    // OpenBSD has no `waitid`. There the processes that the program started are killed only at its timeout.
    #[cfg(any(not(unix), target_os = "openbsd"))]
    async fn exit_of(&mut self, child: &mut Child, group: &mut Group) {
        let _ = child.wait().await;
        group.reaped();
    }
}

/// The process group of the program.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
    #[cfg_attr(not(unix), allow(dead_code))]
    marker: EnvMarker,
}

impl Group {
    #[cfg(unix)]
    fn new(child: &Child, marker: EnvMarker) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { leader: id.and_then(rustix::process::Pid::from_raw), marker }
    }

    #[cfg(not(unix))]
    fn new(_: &Child, marker: EnvMarker) -> Self {
        Self { marker }
    }

    fn kill(&self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader {
            // No other group can have the id, because the leader has not been reaped.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }

    /// Kills the group and the processes that left it.
    fn kill_all(&self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader {
            // First, because only while the leader lives can its descendants be found.
            self.marker.kill(leader);
        }
        self.kill();
    }

    /// Records that the leader was reaped: from now on another process may have its id.
    fn reaped(&mut self) {
        #[cfg(unix)]
        {
            self.leader = None;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// Both outputs of the program.
struct Output<O, E> {
    out: Option<O>,
    err: Option<E>,
    tail: Tail,
}

impl<O: AsyncRead + Unpin, E: AsyncRead + Unpin> Output<O, E> {
    /// Reads until `end` is ready.
    async fn read_until<T>(&mut self, end: impl Future<Output = T>) -> T {
        let mut end = pin!(end);
        poll_fn(|cx| {
            // Polled first, because a program that writes without end would delay it.
            let ended = end.as_mut().poll(cx);
            if ended.is_pending() {
                let _ = self.poll_read(cx);
            }
            ended
        })
        .await
    }

    async fn read_until_closed(&mut self) {
        poll_fn(|cx| self.poll_read(cx)).await;
    }

    /// Reads what is available. Ready when both outputs are closed.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let out = poll_all(&mut self.out, &mut self.tail, cx);
        let err = poll_all(&mut self.err, &mut self.tail, cx);
        ready!(out);
        err
    }
}

fn poll_all(stream: &mut Option<impl AsyncRead + Unpin>, tail: &mut Tail, cx: &mut Context<'_>) -> Poll<()> {
    let mut bytes = [0; 1_024];
    while let Some(open) = stream {
        let mut read = ReadBuf::new(&mut bytes);
        match ready!(Pin::new(open).poll_read(cx, &mut read)) {
            Ok(()) if !read.filled().is_empty() => tail.add(read.filled()),
            _ => *stream = None,
        }
    }
    Poll::Ready(())
}

/// The last bytes of the output. They are far more than the record keeps, so that a secret that the record would cut is
/// recognised, such as a private key of many lines.
#[derive(Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    const MAX: usize = 16 * MAX_TEXT;

    fn add(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let excess = self.0.len().saturating_sub(Self::MAX);
        self.0.drain(..excess);
    }

    fn text(self) -> Option<String> {
        let bytes = Vec::from(self.0);
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_output_is_kept() {
        let mut tail = Tail::default();
        (0..20_000).for_each(|line| tail.add(format!("{line}\n").as_bytes()));
        let text = tail.text().unwrap();
        assert!(text.len() <= Tail::MAX && text.ends_with("\n19998\n19999"), "{text}");
        assert_eq!(Tail::default().text(), None);
        assert_eq!(Tail(VecDeque::from(*b"\xffa\n")).text().unwrap(), "\u{fffd}a");
    }
}

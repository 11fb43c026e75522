//! A program that is run.

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

use super::action::{AbortOnDrop, Done, LONGEST};
use super::record::HealingOutcome;
use super::strays::Mark;
use crate::base::error::ConfigError;
use crate::health::awake::within;

/// What a program wrote is waited for so long after its end: a process that it left behind may never close the pipe.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// What a command gets of the environment unless it is told otherwise. Windows starts few programs without the last.
const KEPT: &[&str] =
    if cfg!(windows) { &["PATH", "HOME", "LANG", "SYSTEMROOT"] } else { &["PATH", "HOME", "LANG"] };

/// A killed process that has not ended after so long is not waited for: one of another user cannot be killed.
const DYING: Duration = Duration::from_secs(5);

/// A program, its arguments and its environment.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    pub(super) arguments: Vec<OsString>,
    /// Variables that are set for it.
    pub(super) variables: Vec<(OsString, OsString)>,
    /// Whether it has the environment of this process too.
    pub(super) inherits: bool,
}

impl Program {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        const SETTING: &str = "healing.command";
        let arguments = &*self.arguments;
        let program = arguments.first().map(OsString::as_os_str).unwrap_or_default();
        let allowed = "a program and its arguments, one by one";
        ConfigError::check(!program.is_empty(), SETTING, arguments, allowed)?;
        // A program may be called so; a line for a shell, of which there is none, is more likely.
        let is_line = arguments.len() == 1
            && program.to_string_lossy().contains(char::is_whitespace)
            && !Path::new(program).is_file();
        let allowed = "a program and its arguments, one by one: no shell takes a line apart";
        ConfigError::check(!is_line, SETTING, program, allowed)?;
        let cut = arguments.iter().find(|argument| has(argument, 0));
        ConfigError::check(cut.is_none(), SETTING, cut, "texts without a zero byte")?;
        let unusable = self
            .variables
            .iter()
            .find(|(name, value)| name.is_empty() || has(name, b'=') || has(name, 0) || has(value, 0));
        // A value may be a secret.
        let name = unusable.map(|(name, _)| name);
        let allowed = "a name without `=`, and a name and a value without a zero byte";
        ConfigError::check(name.is_none(), "healing.env", name, allowed)
    }

    fn command(&self) -> Option<Command> {
        let (program, arguments) = self.arguments.split_first()?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        if !self.inherits {
            command.env_clear();
            command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        // Of its own, so that its children end with it.
        #[cfg(unix)]
        command.process_group(0);
        Some(command)
    }

    /// Runs the program to its end, or for `limit`. What is left of its process group is killed then. When it is killed,
    /// or this is dropped, those that left the group are too.
    pub(super) async fn run(&self, limit: Duration) -> Done {
        let Some(mut command) = self.command() else {
            return Done::failed("there is no program");
        };
        let mark = Mark::new();
        if cfg!(unix) {
            command.envs([mark.variable()]);
        }
        // Before it starts, so that its end cannot go by unseen.
        let mut ends = match Ends::watch() {
            Ok(ends) => ends,
            Err(error) => return Done::failed(format!("the end of programs cannot be seen: {error}")),
        };
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                let program = command.as_std().get_program().to_string_lossy();
                return Done::failed(format!("`{program}` cannot be started: {error}"));
            }
        };
        let mut group = Group::of(&child, mark);
        let mut output = Output { out: child.stdout.take(), err: child.stderr.take(), tail: Tail::default() };
        let in_time = within(limit, output.until(ends.end_of(&mut child, &mut group))).await.ended.is_some();
        if in_time {
            group.kill();
        } else {
            group.kill_all();
            let _ = child.start_kill();
        }
        let status = timeout(DYING, output.until(child.wait())).await;
        let (outcome, exit_code) = match &status {
            _ if !in_time => (Err(HealingOutcome::TimedOut), None),
            Ok(Ok(status)) if status.success() => (Ok(()), status.code()),
            Ok(Ok(status)) => (Err(failed(status.to_string())), status.code()),
            Ok(Err(error)) => (Err(failed(format!("its end cannot be seen: {error}"))), None),
            Err(_) => (Err(failed("its end cannot be seen".to_owned())), None),
        };
        let rest = if status.is_ok() {
            group.is_gone();
            None
        } else {
            Some(AbortOnDrop::wait(async move {
                let _ = child.wait().await;
                group.is_gone();
            }))
        };
        let _ = timeout(LAST_WORDS, output.until_closed()).await;
        Done { outcome, output: output.tail.text(), exit_code, rest }
    }
}

fn has(text: &OsStr, byte: u8) -> bool {
    text.as_encoded_bytes().contains(&byte)
}

fn failed(why: String) -> HealingOutcome {
    HealingOutcome::Failed(why)
}

/// Sees that a program has ended, and leaves how it ended for others to ask: until then its id is that of no other group.
struct Ends {
    #[cfg(all(unix, not(target_os = "openbsd")))]
    children: tokio::signal::unix::Signal,
}

impl Ends {
    #[cfg(all(unix, not(target_os = "openbsd")))]
    fn watch() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self { children: signal(SignalKind::child())? })
    }

    #[cfg(all(unix, not(target_os = "openbsd")))]
    async fn end_of(&mut self, _: &mut Child, group: &mut Group) {
        use rustix::process::{WaitId, WaitIdOptions, waitid};

        /// How often to look where no signal tells.
        const LOOK: Duration = Duration::from_secs(1);

        let Some(leader) = group.leader else { return };
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // An error means that it is gone.
        while let Ok(None) = waitid(WaitId::Pid(leader), look) {
            // The signal may be blocked, or handled by other code of the process.
            let _ = timeout(LOOK, self.children.recv()).await;
        }
    }

    #[cfg(any(not(unix), target_os = "openbsd"))]
    fn watch() -> std::io::Result<Self> {
        Ok(Self {})
    }

    // OpenBSD has no `waitid`: there what the program started is killed with it, and not when it ends by itself.
    #[cfg(any(not(unix), target_os = "openbsd"))]
    async fn end_of(&mut self, child: &mut Child, group: &mut Group) {
        let _ = child.wait().await;
        group.is_gone();
    }
}

/// The process and those that it started, as long as they have not left its group.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
    #[cfg_attr(not(unix), allow(dead_code))]
    mark: Mark,
}

impl Group {
    #[cfg(unix)]
    fn of(child: &Child, mark: Mark) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { leader: id.and_then(rustix::process::Pid::from_raw), mark }
    }

    #[cfg(not(unix))]
    fn of(_: &Child, mark: Mark) -> Self {
        Self { mark }
    }

    fn kill(&self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader {
            // Its id is that of no other: nothing has asked yet how its leader ended.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }

    /// Those that left the group too: their time was that of the command.
    fn kill_all(&self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader {
            // While the leader lives, it is known who comes from it.
            self.mark.kill(leader);
        }
        self.kill();
    }

    /// It was asked how its leader ended: from now on the number may be that of another.
    fn is_gone(&mut self) {
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

/// What the program writes, to both of its outputs.
struct Output<O, E> {
    out: Option<O>,
    err: Option<E>,
    tail: Tail,
}

impl<O: AsyncRead + Unpin, E: AsyncRead + Unpin> Output<O, E> {
    /// Reads until `end` is there.
    async fn until<T>(&mut self, end: impl Future<Output = T>) -> T {
        let mut end = pin!(end);
        poll_fn(|cx| {
            // First, for a program that writes without end would keep it waiting.
            let ended = end.as_mut().poll(cx);
            if ended.is_pending() {
                let _ = self.poll_read(cx);
            }
            ended
        })
        .await
    }

    async fn until_closed(&mut self) {
        poll_fn(|cx| self.poll_read(cx)).await;
    }

    /// Reads what is there; ready when both are closed.
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

/// The last bytes of what was written: far more than are kept, so that a secret at their beginning is seen whole, a private
/// key of many lines too.
#[derive(Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    const LONGEST: usize = 16 * LONGEST;

    fn add(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let excess = self.0.len().saturating_sub(Self::LONGEST);
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
    fn the_end_of_what_was_written_is_kept() {
        let mut tail = Tail::default();
        (0..20_000).for_each(|line| tail.add(format!("{line}\n").as_bytes()));
        let text = tail.text().unwrap();
        assert!(text.len() <= Tail::LONGEST && text.ends_with("\n19998\n19999"), "{text}");
        assert_eq!(Tail::default().text(), None);
        assert_eq!(Tail(VecDeque::from(*b"\xffa\n")).text().unwrap(), "\u{fffd}a");
    }
}

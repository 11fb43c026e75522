//! A program that is run.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::process::Stdio;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::action::{Done, LONGEST};
use super::record::HealingOutcome;
use crate::error::ConfigError;

/// What a program wrote is waited for so long after its end: a process that it left behind may never close the pipe.
const LAST_WORDS: Duration = Duration::from_millis(250);

pub(super) fn validate(arguments: &[OsString]) -> Result<(), ConfigError> {
    const SETTING: &str = "healing.command";
    let program = arguments.first().map(OsString::as_os_str).unwrap_or_default();
    let allowed = "a program and its arguments, one by one";
    ConfigError::check(!program.is_empty(), SETTING, arguments, allowed)?;
    // A program may be called so; a line for a shell, of which there is none, is more likely.
    let is_line =
        arguments.len() == 1 && program.to_string_lossy().contains(char::is_whitespace) && !is_file(program);
    let allowed = "a program and its arguments, one by one: no shell takes a line apart";
    ConfigError::check(!is_line, SETTING, program, allowed)?;
    let cut = arguments.iter().find(|argument| argument.as_encoded_bytes().contains(&0));
    ConfigError::check(cut.is_none(), SETTING, cut, "texts without a zero byte")
}

fn is_file(program: &std::ffi::OsStr) -> bool {
    std::path::Path::new(program).is_file()
}

/// Runs the program to its end, or for `limit`. Whatever is left of it then is killed, and so it is when this is
/// dropped.
pub(super) async fn run(arguments: &[OsString], limit: Duration) -> Done {
    let Some((program, arguments)) = arguments.split_first() else {
        return Done::failed("there is no program");
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    // Of its own, so that its children end with it.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            return Done::failed(format!("`{}` cannot be started: {error}", program.to_string_lossy()));
        }
    };
    let mut group = Group::of(&child);
    let mut output = Output { out: child.stdout.take(), err: child.stderr.take(), tail: Tail::default() };
    let ended = timeout(limit, output.until(child.wait())).await;
    let (outcome, exit_code) = match ended {
        Ok(Ok(status)) => {
            group.is_gone();
            let outcome = if status.success() { Ok(()) } else { Err(failed(status.to_string())) };
            (outcome, status.code())
        }
        Ok(Err(error)) => (Err(failed(format!("its end cannot be seen: {error}"))), None),
        Err(_) => {
            group.kill();
            let _ = child.start_kill();
            let _ = output.until(child.wait()).await;
            group.is_gone();
            (Err(HealingOutcome::TimedOut), None)
        }
    };
    let _ = timeout(LAST_WORDS, output.until_closed()).await;
    Done { outcome, output: output.tail.text(), exit_code, rest: None }
}

fn failed(why: String) -> HealingOutcome {
    HealingOutcome::Failed(why)
}

/// The process and those that it started, as long as they have not left its group.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

impl Group {
    #[cfg(unix)]
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self { leader: id.and_then(rustix::process::Pid::from_raw) }
    }

    #[cfg(not(unix))]
    fn of(_: &Child) -> Self {
        Self {}
    }

    fn kill(&self) {
        #[cfg(unix)]
        if let Some(leader) = self.leader {
            // It is there: nobody has asked yet how its leader ended.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }

    /// Its leader was seen to end: from now on the number may be that of another.
    fn is_gone(&mut self) {
        #[cfg(unix)]
        {
            self.leader = None;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
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

/// The last bytes of what was written: somewhat more than are kept, so that a secret at their beginning is seen whole.
#[derive(Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    const LONGEST: usize = LONGEST + LONGEST / 4;

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
        (0..10_000).for_each(|line| tail.add(format!("{line}\n").as_bytes()));
        let text = tail.text().unwrap();
        assert!(text.len() <= Tail::LONGEST && text.ends_with("\n9998\n9999"), "{text}");
        assert_eq!(Tail::default().text(), None);
        assert_eq!(Tail(VecDeque::from(*b"\xffa\n")).text().unwrap(), "\u{fffd}a");
    }
}

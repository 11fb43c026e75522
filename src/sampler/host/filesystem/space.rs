//! Reads the space of file systems, so that one that hangs does not block the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::base::clock;
use crate::sampler::probe::{Failures, Part, ProbeError};

/// The name of the part that fails if a file system does not answer.
const PART: Part = "statvfs";
/// How long to wait for an answer. A server that is up answers within milliseconds.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The maximum number of threads that wait for an answer. Mounts that hang may be mounted repeatedly at one path.
const MOST: usize = crate::signal::capacity::DEVICES;

/// The path and the number of a mount.
pub(super) type Asked = (Arc<str>, i64);

/// Space in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) limit: u64,
    pub(super) used: u64,
    /// Free space for unprivileged users.
    pub(super) free: u64,
}

/// Reads the space of file systems.
///
/// A call that hangs cannot be ended. So each file system that may hang is read on its own thread. Until that thread has an
/// answer, the file system has no values and is not read again.
#[derive(Debug)]
pub(super) struct Spaces {
    ask: fn(&str) -> Option<Space>,
    timeout: Duration,
    /// Outstanding answers by mount. Another mount at the same path is read.
    overdue: HashMap<Asked, Receiver<Option<Space>>>,
}

impl Default for Spaces {
    fn default() -> Self {
        Self { ask: Space::of, timeout: TIMEOUT, overdue: HashMap::new() }
    }
}

impl Spaces {
    /// The space of each mount, in the order of the mounts; `true` stands for one that may hang.
    pub(super) fn ask<'a>(
        &mut self,
        mounts: impl Iterator<Item = (&'a Asked, bool)> + Clone,
        failures: &mut Failures,
    ) -> Vec<Option<Space>> {
        // Removes the answers that have arrived.
        self.overdue.retain(|_, answer| matches!(answer.try_recv(), Err(mpsc::TryRecvError::Empty)));
        let mut waiting = HashMap::new();
        for (mount, _) in
            mounts.clone().filter(|(mount, may_hang)| *may_hang && !self.overdue.contains_key(*mount))
        {
            let path = &mount.0;
            let begun = match self.overdue.len() < MOST {
                true => self.begin(path),
                false => Err(std::io::Error::other(format!("{MOST} file systems do not answer"))),
            };
            match begun {
                Ok(answer) => _ = waiting.insert(mount, answer),
                Err(error) => {
                    let error = format!("cannot start a thread that reads the space of {path}: {error}");
                    failures.add(PART, ProbeError(error.into()))
                }
            }
        }
        let until = clock::real_now() + self.timeout;
        let mut silent = Vec::new();
        let mut spaces = Vec::new();
        for (mount, may_hang) in mounts {
            let path = &mount.0;
            if !may_hang {
                spaces.push((self.ask)(path));
                continue;
            }
            let answer = waiting.remove(mount).map(|answer| {
                let left = until.saturating_duration_since(clock::real_now());
                (answer.recv_timeout(left), answer)
            });
            spaces.push(match answer {
                Some((Ok(space), _)) => space,
                Some((Err(RecvTimeoutError::Timeout), answer)) => {
                    self.overdue.insert(mount.clone(), answer);
                    silent.push(&**path);
                    None
                }
                Some((Err(RecvTimeoutError::Disconnected), _)) => None,
                None => {
                    silent.push(&**path);
                    None
                }
            });
        }
        if !silent.is_empty() {
            failures.add(PART, ProbeError(format!("no answer from {}", silent.join(", ")).into()));
        }
        spaces
    }

    fn begin(&self, path: &Arc<str>) -> std::io::Result<Receiver<Option<Space>>> {
        let (to, answer) = mpsc::sync_channel(1);
        let (ask, path) = (self.ask, Arc::clone(path));
        // The receiver is gone if the answer is late.
        let work = move || {
            let _ = to.send(ask(&path));
        };
        thread::Builder::new().name("campanile-statvfs".to_owned()).spawn(work)?;
        Ok(answer)
    }
}

impl Space {
    /// `None` if it cannot be read, and for file systems without blocks.
    fn of(path: &str) -> Option<Self> {
        let space = rustix::fs::statvfs(path).ok().filter(|space| space.f_blocks > 0)?;
        Some(Self::made_of(space.f_blocks, space.f_bfree, space.f_bavail, space.f_frsize))
    }

    fn made_of(blocks: u64, free: u64, available: u64, size: u64) -> Self {
        let bytes = |blocks: u64| blocks.saturating_mul(size);
        // Negative if privileged users took from the reserved space.
        let available = if available >> 63 == 1 { 0 } else { available };
        Self {
            limit: bytes(blocks.max(free)),
            used: bytes(blocks.saturating_sub(free)),
            // Some file systems report more available space than free space.
            free: bytes(available.min(free)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::sync::Mutex;

    static DEAD: Mutex<()> = Mutex::new(());

    /// Hangs for a path that begins with `/dead`, as long as the lock is taken.
    fn ask(path: &str) -> Option<Space> {
        if path.starts_with("/dead") {
            drop(DEAD.lock());
        }
        (path != "/gone").then_some(Space { limit: path.len() as u64, used: 0, free: 0 })
    }

    #[test]
    fn p41_a_file_system_that_hangs_does_not_block_the_others_and_recovers() {
        let mut spaces = Spaces { ask, timeout: Duration::from_millis(50), overdue: HashMap::new() };
        let mounts = |dead: i64| -> Vec<(Asked, bool)> {
            [("/", 1, false), ("/dead", dead, true), ("/srv", 3, true), ("/gone", 4, true)]
                .map(|(path, number, hangs)| ((path.into(), number), hangs))
                .into()
        };
        let mut read = |dead| {
            let mut failures = Failures::default();
            let mounts = mounts(dead);
            let found = spaces.ask(mounts.iter().map(|(mount, hangs)| (mount, *hangs)), &mut failures);
            let found: Vec<_> = found.into_iter().map(|space| space.map(|space| space.limit)).collect();
            (found, failures.0.pop().map(|(part, why)| (part, why.to_string())), spaces.overdue.len())
        };
        let silent = Some((PART, "no answer from /dead".to_owned()));
        let dead = DEAD.lock();
        for _ in 0..3 {
            assert_eq!(read(2), (vec![Some(1), None, Some(4), None], silent.clone(), 1), "one thread hangs");
        }
        // It was unmounted and mounted again while it hung.
        assert_eq!(read(7), (vec![Some(1), None, Some(4), None], silent.clone(), 2), "the new one is asked");
        drop(dead);
        let back = (0..1_000).any(|_| {
            thread::park_timeout(Duration::from_millis(1));
            read(7) == (vec![Some(1), Some(5), Some(4), None], None, 0)
        });
        assert!(back);
    }

    #[test]
    fn p41_space_is_as_in_df() {
        assert_eq!(Space::made_of(100, 30, 20, 512), Space { limit: 51_200, used: 35_840, free: 10_240 });
        assert_eq!(Space::made_of(100, 30, u64::MAX - 5, 1).free, 0, "a negative value");
        assert_eq!(Space::made_of(100, 130, 140, 1), Space { limit: 130, used: 0, free: 130 });
        assert_eq!(Space::made_of(u64::MAX, 0, 0, 4_096).limit, u64::MAX);
    }
}

//! What a command started and what has left its process group, by `setsid` say.
//!
//! Its processes are known by a variable in their environment, which they inherit, and by their parents. Both are read
//! from `/proc`: on Linux, without a group of control groups of our own, for which a process seldom has the right.

use std::ffi::{OsStr, OsString};

use crate::base::sync::atomic::{AtomicU64, Ordering};

/// The variable.
const NAME: &str = "CAMPANILE_HEALING";

/// What its processes have in their environment.
#[derive(Clone, Debug)]
pub(super) struct Mark(String);

impl Mark {
    /// One that no other command has.
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(format!("{}-{number}-{:016x}", std::process::id(), fastrand::u64(..)))
    }

    /// The name and the value of the variable.
    pub(super) fn variable(&self) -> (&'static OsStr, OsString) {
        (OsStr::new(NAME), OsString::from(&self.0))
    }

    /// Kills every process that has it, and those that come from `leader`.
    #[cfg(target_os = "linux")]
    pub(super) fn kill(&self, leader: rustix::process::Pid) {
        linux::kill(format!("{NAME}={}", self.0).as_bytes(), leader);
    }

    #[cfg(all(unix, not(target_os = "linux")))]
    #[allow(clippy::unused_self)] // As on Linux.
    pub(super) fn kill(&self, _: rustix::process::Pid) {}
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::{HashMap, HashSet};
    use std::fs;

    use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

    /// A process may start another while we look. One that does so without end is too quick for us.
    const LOOKS: usize = 16;

    /// All are stopped before the first is killed: one whose parent is gone may no longer show that it comes from
    /// `leader`.
    pub(super) fn kill(variable: &[u8], leader: Pid) {
        let _ = kill_process_group(leader, Signal::STOP);
        let mut held = HashMap::new();
        for _ in 0..LOOKS {
            let mut found = strays(variable, leader.as_raw_pid());
            found.retain(|id| !held.contains_key(id));
            if found.is_empty() {
                break;
            }
            // From here on the number cannot be that of another.
            let open = |id: i32| Some((id, pidfd_open(Pid::from_raw(id)?, PidfdFlags::empty()).ok()?));
            let opened: Vec<_> = found.into_iter().filter_map(open).collect();
            let still: HashSet<i32> = strays(variable, leader.as_raw_pid()).into_iter().collect();
            for (id, process) in opened.into_iter().filter(|(id, _)| still.contains(id)) {
                let _ = pidfd_send_signal(&process, Signal::STOP);
                held.insert(id, process);
            }
        }
        for process in held.values() {
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }

    /// The ids of those that live, but for the leader itself.
    fn strays(variable: &[u8], leader: i32) -> Vec<i32> {
        let parents: HashMap<i32, i32> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|id: i32| Some((id, parent(id)?)))
            .collect();
        let comes_from_leader = |id: i32| {
            let mut ancestors = std::iter::successors(parents.get(&id), |parent| parents.get(parent));
            // No chain is longer than there are processes.
            ancestors.by_ref().take(parents.len()).any(|parent| *parent == leader)
        };
        let stray = |id: &i32| *id != leader && (comes_from_leader(*id) || has(variable, *id));
        parents.keys().copied().filter(stray).collect()
    }

    /// The parent of a process that lives.
    fn parent(id: i32) -> Option<i32> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name before may hold anything.
        let mut rest = stat.rsplit(')').next()?.split_whitespace();
        let (state, parent) = (rest.next()?, rest.next()?);
        (!matches!(state, "Z" | "X")).then(|| parent.parse().ok()).flatten()
    }

    fn has(variable: &[u8], id: i32) -> bool {
        let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|each| each == variable)
    }
}

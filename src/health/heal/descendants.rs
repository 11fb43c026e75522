//! Kills the processes that a command started and that have left its process group, for instance by `setsid`.
//!
//! They are found by a variable in their environment, which they inherit, and by their parents. On Linux both are read from
//! `/proc`. A control group would be simpler, but few processes may create one.

use std::ffi::{OsStr, OsString};

use crate::base::sync::atomic::{AtomicU64, Ordering};

/// The name of the variable.
const NAME: &str = "CAMPANILE_HEALING";

/// The variable that marks the processes of one command.
#[derive(Clone, Debug)]
pub(super) struct EnvMarker(String);

impl EnvMarker {
    /// A unique value.
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(format!("{}-{number}-{:016x}", std::process::id(), fastrand::u64(..)))
    }

    /// The name and the value of the variable.
    pub(super) fn variable(&self) -> (&'static OsStr, OsString) {
        (OsStr::new(NAME), OsString::from(&self.0))
    }

    /// Kills every process that has the variable, and the descendants of `leader`.
    #[cfg(target_os = "linux")]
    pub(super) fn kill(&self, leader: rustix::process::Pid) {
        linux::kill(format!("{NAME}={}", self.0).as_bytes(), leader);
    }

    #[cfg(all(unix, not(target_os = "linux")))]
    #[allow(clippy::unused_self)] // The signature is that of Linux.
    pub(super) fn kill(&self, _: rustix::process::Pid) {}
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::{HashMap, HashSet};
    use std::fs;

    use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

    /// Maximum number of passes: a process may start another during a pass.
    const MAX_PASSES: usize = 16;

    /// Stops all processes before the first is killed: a process whose parent has ended no longer descends from `leader`.
    pub(super) fn kill(variable: &[u8], leader: Pid) {
        let _ = kill_process_group(leader, Signal::STOP);
        let mut stopped = HashMap::new();
        for _ in 0..MAX_PASSES {
            let mut found = find(variable, leader.as_raw_pid());
            found.retain(|id| !stopped.contains_key(id));
            if found.is_empty() {
                break;
            }
            // An open descriptor keeps the id from being reused. It may have been before: so the second search.
            let open = |id: i32| Some((id, pidfd_open(Pid::from_raw(id)?, PidfdFlags::empty()).ok()?));
            let opened: Vec<_> = found.into_iter().filter_map(open).collect();
            let still: HashSet<i32> = find(variable, leader.as_raw_pid()).into_iter().collect();
            for (id, process) in opened.into_iter().filter(|(id, _)| still.contains(id)) {
                let _ = pidfd_send_signal(&process, Signal::STOP);
                stopped.insert(id, process);
            }
        }
        for process in stopped.values() {
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }

    /// The ids of the processes that are alive, without the leader.
    fn find(variable: &[u8], leader: i32) -> Vec<i32> {
        let parents: HashMap<i32, i32> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|id: i32| Some((id, parent(id)?)))
            .collect();
        let descends_from_leader = |id: i32| {
            let mut ancestors = std::iter::successors(parents.get(&id), |parent| parents.get(parent));
            // Ids may be reused during the search: no chain is longer than the number of processes.
            ancestors.by_ref().take(parents.len()).any(|parent| *parent == leader)
        };
        let wanted = |id: &i32| *id != leader && (descends_from_leader(*id) || has(variable, *id));
        parents.keys().copied().filter(wanted).collect()
    }

    /// The parent of a process; `None` when it has ended.
    fn parent(id: i32) -> Option<i32> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name of the program comes first, and may contain any character.
        let mut rest = stat.rsplit(')').next()?.split_whitespace();
        let (state, parent) = (rest.next()?, rest.next()?);
        (!matches!(state, "Z" | "X")).then(|| parent.parse().ok()).flatten()
    }

    fn has(variable: &[u8], id: i32) -> bool {
        let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|each| each == variable)
    }
}

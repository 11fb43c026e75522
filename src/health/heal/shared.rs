//! The state that all healings of one `Health` share: their limits, and the file of their starts.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::record::Withheld;
use super::rolling_hour::RollingHour;
use super::settings::HealingLimits;
use super::starts_file::StartsFile;
use crate::base::clock::{self, Tick};
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicBool, Ordering};

/// An action waits no longer than this for the file to be written.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The state that all healings of one `Health` share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Whether `file` is set.
    has_file: AtomicBool,
    /// Locked before `state`, and not while the file is read or written.
    file: Mutex<Option<StartsFile>>,
    /// Held by the writer of the file. After a timeout it holds the thread that still writes.
    writing: tokio::sync::Mutex<Option<JoinHandle<io::Result<()>>>>,
}

#[derive(Debug, Default)]
struct State {
    limits: HealingLimits,
    starts: RollingHour,
    /// The components whose actions run.
    components: BTreeSet<Arc<str>>,
    /// Number of actions that ever began.
    number: u64,
}

/// The right to heal a component, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    shared: Arc<Shared>,
    component: Arc<str>,
    /// The number of the action.
    pub(super) number: u64,
}

impl Shared {
    /// Takes a permit, if the shared limits allow it.
    pub(super) fn acquire(shared: &Arc<Self>, component: &Arc<str>, now: Tick) -> Result<Permit, Withheld> {
        let mut state = shared.state.lock();
        if state.components.contains(component) {
            return Err(Withheld::ComponentBusy);
        }
        if state.components.len() >= state.limits.at_once {
            return Err(Withheld::TooMany);
        }
        let per_hour = state.limits.per_hour;
        if state.starts.is_full(now, per_hour) {
            return Err(Withheld::HourlyLimitOfAll);
        }
        state.starts.add(now);
        state.components.insert(Arc::clone(component));
        state.number += 1;
        Ok(Permit { shared: Arc::clone(shared), component: Arc::clone(component), number: state.number })
    }

    /// Replaces the limits. `opened` is the file of `limits`, unless it is the current one; `restore` gets it.
    pub(super) fn set_limits(
        &self,
        limits: HealingLimits,
        opened: Option<StartsFile>,
        restore: impl FnOnce(&StartsFile),
    ) {
        let mut file = self.file.lock();
        match opened {
            None if limits.remember_in.is_none() => *file = None,
            None => {}
            Some(opened) => {
                restore(&opened);
                self.state.lock().starts.restore(clock::now(), &opened.ages(None));
                *file = Some(opened);
            }
        }
        self.has_file.store(file.is_some(), Ordering::Release);
        self.state.lock().limits = limits;
    }

    /// Whether the file at `path` is the current one.
    pub(super) fn has_file_at(&self, path: &Path) -> bool {
        self.file.lock().as_ref().is_some_and(|file| file.is_at(path))
    }

    /// Reads the current file, if there is one.
    pub(super) fn with_file(&self, read: impl FnOnce(&StartsFile)) {
        if let Some(file) = &*self.file.lock() {
            read(file);
        }
    }

    /// Writes a start to the file, if there is one. A file system that does not answer blocks one thread, and this call for
    /// [`WRITE_TIMEOUT`].
    pub(super) async fn save_start(&self, component: &Arc<str>, healing: &Arc<str>) {
        if !self.has_file.load(Ordering::Acquire) {
            return;
        }
        if let Some(file) = &mut *self.file.lock() {
            file.add(component, healing);
        }
        let write = async {
            let mut writing = self.writing.lock().await;
            if let Some(earlier) = &mut *writing {
                let _ = earlier.await;
                *writing = None;
            }
            let Some(contents) = self.file.lock().as_ref().map(StartsFile::contents) else { return Ok(()) };
            let written = writing.insert(tokio::task::spawn_blocking(move || contents.write())).await;
            *writing = None;
            written.unwrap_or(Ok(()))
        };
        let timed_out = |_| {
            let reason = format!("the file system did not answer within {WRITE_TIMEOUT:?}");
            Err(io::Error::new(io::ErrorKind::TimedOut, reason))
        };
        if let Err(error) = timeout(WRITE_TIMEOUT, write).await.unwrap_or_else(timed_out) {
            // The action runs anyway: it may be what frees a full disk.
            tracing::warn!(
                target: "campanile::health",
                component = &**component,
                healing = &**healing,
                "the start of a healing cannot be saved in the file of `remember_in`, so it will not count for the limits per \
                 hour after a restart: {error}"
            );
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.state.lock().components.remove(&self.component);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_file_system_that_does_not_answer_blocks_one_thread_and_no_healing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("healings.json");
        let shared = Shared::default();
        let limits = HealingLimits { remember_in: Some(path.clone()), ..HealingLimits::default() };
        shared.set_limits(limits, Some(StartsFile::open(&path).unwrap()), |_| ());
        let (component, healing) = (Arc::from("healed"), Arc::from("heal"));
        let hangs = tokio::spawn(std::future::pending());
        *shared.writing.lock().await = Some(hangs);
        for _ in 0..3 {
            shared.save_start(&component, &healing).await;
        }
        assert!(shared.writing.lock().await.as_ref().is_some_and(|writing| !writing.is_finished()));
        // The file system answers again: the file has all starts.
        shared.writing.lock().await.take().unwrap().abort();
        shared.save_start(&component, &healing).await;
        assert_eq!(StartsFile::open(&path).unwrap().ages(None).len(), 4);
    }
}

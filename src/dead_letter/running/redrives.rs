//! The redrives of a queue that run in this process.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::progress::Progress;
use super::report::RedriveProgress;
use super::schedule::Schedule;
use super::skipped::SkippedLetters;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Default)]
pub(in crate::dead_letter) struct Redrives {
    /// How many run. It is all that a call reads while there is none.
    running: AtomicUsize,
    all: Mutex<Vec<Arc<Progress>>>,
    /// Tasks that release the letters of redrives that were dropped.
    cleanups: Mutex<Vec<JoinHandle<()>>>,
    pub(in crate::dead_letter) schedule: Arc<Schedule>,
    pub(in crate::dead_letter) skipped: SkippedLetters,
}

impl Redrives {
    /// Whether any redrive runs.
    #[inline]
    pub(in crate::dead_letter) fn any(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }

    /// Adds a task that the next redrive waits for.
    pub(in crate::dead_letter) fn add_cleanup(&self, cleanup: JoinHandle<()>) {
        let mut cleanups = self.cleanups.lock();
        cleanups.retain(|cleanup| !cleanup.is_finished());
        cleanups.push(cleanup);
    }

    /// Waits until redrives that were dropped have released their letters.
    pub(in crate::dead_letter) async fn await_cleanups(&self) {
        let cleanups = std::mem::take(&mut *self.cleanups.lock());
        for cleanup in cleanups {
            let _ = cleanup.await;
        }
    }

    pub(in crate::dead_letter) fn progress(&self) -> Vec<RedriveProgress> {
        self.all.lock().iter().map(|progress| progress.read()).collect()
    }

    /// Asks the redrives that were started by hand to stop, and returns their number.
    pub(in crate::dead_letter) fn stop(&self) -> usize {
        let all = self.all.lock();
        all.iter().filter(|progress| !progress.is_automatic()).map(|progress| progress.stop()).count()
    }

    /// Asks all redrives to stop.
    #[cfg(feature = "serve")]
    pub(in crate::dead_letter) fn stop_all(&self) {
        self.all.lock().iter().for_each(|progress| progress.stop());
    }

    /// Whether no redrive runs, and none that was dropped has letters to release.
    #[cfg(feature = "serve")]
    pub(in crate::dead_letter) fn are_settled(&self) -> bool {
        !self.any() && self.cleanups.lock().iter().all(JoinHandle::is_finished)
    }
}

/// Keeps a redrive on the list of its queue.
pub(in crate::dead_letter) struct ListGuard {
    redrives: Arc<Redrives>,
    progress: Arc<Progress>,
}

impl ListGuard {
    pub(in crate::dead_letter) fn new(redrives: &Arc<Redrives>, progress: &Arc<Progress>) -> Self {
        redrives.running.fetch_add(1, Ordering::AcqRel);
        redrives.all.lock().push(Arc::clone(progress));
        Self { redrives: Arc::clone(redrives), progress: Arc::clone(progress) }
    }
}

impl Drop for ListGuard {
    fn drop(&mut self) {
        self.redrives.running.fetch_sub(1, Ordering::AcqRel);
        self.redrives.all.lock().retain(|other| !Arc::ptr_eq(other, &self.progress));
    }
}

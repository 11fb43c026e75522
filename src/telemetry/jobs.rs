//! Runs jobs in parallel, with a limit of time.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use super::suppress::SuppressGuard;
use crate::base::panics::catch;

/// Flushes or ends a part of the pipeline, and returns whether that succeeded.
pub(super) type Job = Box<dyn FnOnce() -> bool + Send>;

/// Returns a job for each of `parts`.
pub(super) fn jobs<T: ?Sized + Send + Sync + 'static>(
    parts: &[Arc<T>],
    job: impl Fn(&T) -> bool + Copy + Send + 'static,
) -> impl Iterator<Item = Job> {
    parts.iter().map(move |part| -> Job {
        let part = Arc::clone(part);
        Box::new(move || job(&part))
    })
}

/// Runs every job on its own thread, and returns whether all of them succeeded within `limit`.
///
/// A job that hangs blocks its own thread only.
pub(super) fn run_all(limit: Duration, jobs: Vec<Job>) -> bool {
    let (done, all_done) = mpsc::channel();
    let coordinator = thread::Builder::new().name("campanile-flush".to_owned()).spawn(move || {
        let running: Vec<_> = jobs
            .into_iter()
            .map(|job| {
                thread::Builder::new().name("campanile-flush".to_owned()).spawn(move || {
                    let _suppressed = SuppressGuard::enter();
                    catch(job).unwrap_or(false)
                })
            })
            .collect();
        let ended: Vec<bool> =
            running.into_iter().map(|job| job.is_ok_and(|job| job.join().unwrap_or(false))).collect();
        // The caller may no longer wait.
        let _ = done.send(ended.into_iter().all(|fine| fine));
    });
    // One wait for all jobs, in real time: a paused clock of a runtime does not extend it.
    coordinator.is_ok() && all_done.recv_timeout(limit) == Ok(true)
}

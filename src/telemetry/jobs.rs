//! Ends that hang are given up.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use super::suppress::SuppressGuard;
use crate::base::panics::catch;

/// Work that ends a part of the pipeline, or empties it; whether it went well.
pub(super) type Job = Box<dyn FnOnce() -> bool + Send>;

/// A job for each of `parts`.
pub(super) fn jobs<T: ?Sized + Send + Sync + 'static>(
    parts: &[Arc<T>],
    job: impl Fn(&T) -> bool + Copy + Send + 'static,
) -> impl Iterator<Item = Job> {
    parts.iter().map(move |part| -> Job {
        let part = Arc::clone(part);
        Box::new(move || job(&part))
    })
}

/// Runs every job on a thread of its own; whether all of them went well within `limit`.
///
/// A job that hangs keeps its thread, and nobody else.
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
        // Who asked may have given up.
        let _ = done.send(ended.into_iter().all(|fine| fine));
    });
    // One wait for all, which a paused clock cannot stretch.
    coordinator.is_ok() && all_done.recv_timeout(limit) == Ok(true)
}

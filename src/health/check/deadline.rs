//! The deadline of a run, which the parts of a check can read.

use std::future::Future;
use std::time::Duration;

use crate::base::clock::{self, Tick};

tokio::task_local! {
    static DEADLINE: Tick;
}

/// Runs `future` with a deadline that [`time_left`] reads. Nothing ends the future here.
pub(super) fn with_deadline<F: Future>(deadline: Tick, future: F) -> impl Future<Output = F::Output> {
    DEADLINE.scope(deadline, future)
}

/// The time left for the current run; `None` outside of a run.
pub(super) fn time_left() -> Option<Duration> {
    DEADLINE.try_with(|deadline| deadline.since(clock::now())).ok()
}

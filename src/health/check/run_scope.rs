//! What the parts of a check can know and report during a run: its deadline, and measurements beside its result.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::measured::Measured;
use crate::base::clock::{self, Tick};

tokio::task_local! {
    static RUN: (Tick, Arc<Measured>);
}

/// Runs `future` with a deadline that [`time_left`] reads, and with a place for what it measures. Nothing ends the future
/// here.
pub(super) fn in_run<F: Future>(
    deadline: Tick,
    measured: Arc<Measured>,
    future: F,
) -> impl Future<Output = F::Output> {
    RUN.scope((deadline, measured), future)
}

/// The time left for the current run; `None` outside of a run.
pub(super) fn time_left() -> Option<Duration> {
    RUN.try_with(|(deadline, _)| deadline.since(clock::now())).ok()
}

/// Calls `report` with the place for measurements of the current run; does nothing outside of a run.
pub(super) fn measure(report: impl FnOnce(&Measured)) {
    let _ = RUN.try_with(|(_, measured)| report(measured));
}

//! A check of any type, asked once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{Check, Finding};
use crate::base::clock::{self, Tick};
use crate::base::panics::Panic;

/// A check whose type is forgotten.
pub(super) trait Ask: Send + Sync + 'static {
    /// Asks. The future keeps the check alive, and makes its first step when it is polled.
    fn ask(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Finding> + Send>>;
}

impl<C: Check> Ask for C {
    fn ask(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Finding> + Send>> {
        Box::pin(async move { self.check().await })
    }
}

tokio::task_local! {
    /// When the run that this is part of is ended.
    static DEADLINE: Tick;
}

/// `future`, which is ended at `deadline`, and may ask for it.
pub(super) fn until<F: Future>(deadline: Tick, future: F) -> impl Future<Output = F::Output> {
    DEADLINE.scope(deadline, future)
}

/// How long the run that this is part of may still take; `None` when it is not part of one.
pub(super) fn time_left() -> Option<Duration> {
    DEADLINE.try_with(|deadline| deadline.since(clock::now())).ok()
}

/// What a panic said.
pub(super) fn said(panic: &Panic) -> &str {
    panic.message().unwrap_or("no message")
}

//! What a program has when its shutdown begins, and did not have when the shutdown was built.

use std::any::Any;
use std::pin::Pin;
use std::time::Duration;

use super::metrics::MetricsServer;
use crate::base::panics::caught;
use crate::dead_letter::DeadLetterQueue;

/// What a program has when its shutdown begins.
#[derive(Default)]
pub(crate) struct Late {
    pub(crate) queues: Vec<DeadLetterQueue>,
    /// Used unless the builder has one.
    pub(crate) metrics_server: Option<MetricsServer>,
    /// Drains other work than requests within a limit. Says what it left undone.
    pub(crate) drain: Option<Drain>,
    /// Dropped after the last step.
    pub(crate) held: Option<Box<dyn Any + Send>>,
}

/// Drains work.
pub(crate) type Drain =
    Box<dyn FnOnce(Duration) -> Pin<Box<dyn Future<Output = Option<String>> + Send>> + Send>;

/// Finds what the program has.
pub(super) type LateParts = Box<dyn FnOnce() -> Late + Send>;

/// Drains the work that is no request. `None` if nothing is left of it.
pub(super) async fn drain(work: Option<Drain>, limit: Duration) -> Option<String> {
    let drained = caught(work?(limit)).await;
    drained.unwrap_or_else(|_| Some("work that panicked when it was stopped".to_owned()))
}

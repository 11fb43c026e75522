//! The result of an action.

use std::future::Future;

use tokio::task::JoinError;

use super::record::HealingOutcome;
use crate::base::outcome::Timed;
use crate::base::panics::Panic;
use crate::health::check::Finding;

/// Maximum length of the texts of a record in bytes.
pub(super) const MAX_TEXT: usize = 4 * 1_024;

/// The result of an action.
pub(super) struct Done {
    /// `Ok` when the action succeeded; whether it helped is verified later.
    pub(super) outcome: Result<(), HealingOutcome>,
    pub(super) output: Option<String>,
    pub(super) exit_code: Option<i32>,
    /// The work that still runs after the timeout.
    pub(super) leftover: Option<Leftover>,
}

impl Default for Done {
    fn default() -> Self {
        Self { outcome: Ok(()), output: None, exit_code: None, leftover: None }
    }
}

impl Done {
    pub(super) fn failed(reason: impl Into<String>) -> Self {
        Self { outcome: Err(HealingOutcome::Failed(reason.into())), ..Self::default() }
    }
}

/// A task that is aborted when it is dropped.
pub(super) struct Leftover(pub(super) Timed<Finding>);

impl Leftover {
    /// Waits for `rest` in its own task.
    pub(super) fn spawn(rest: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Timed::spawn(async {
            rest.await;
            Finding::Pass
        }))
    }

    /// Waits until the task has ended.
    pub(super) async fn ended(mut self) {
        if let Err(error) = (&mut self.0.task).await {
            drop(Panic::of_task(error));
        }
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        self.0.task.abort();
    }
}

/// The message of a task's panic.
pub(super) fn panic_message(error: JoinError) -> String {
    Panic::of_task(error).map_or_else(
        || "the Tokio runtime ended".to_owned(),
        |panic| panic.message().unwrap_or("a value that is not text").to_owned(),
    )
}

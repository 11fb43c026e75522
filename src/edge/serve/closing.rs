//! What the steps after the drain do.

use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::base::panics::catch;
#[cfg(feature = "dead-letters")]
use crate::dead_letter::{Closing, DeadLetterQueue};
use crate::telemetry::Telemetry;

/// How often it is looked whether the letters have arrived.
#[cfg(feature = "dead-letters")]
const LOOK: Duration = Duration::from_millis(10);

/// The queues of a shutdown.
#[cfg(feature = "dead-letters")]
#[derive(Clone)]
pub(super) struct Letters(Vec<Closing>);

#[cfg(feature = "dead-letters")]
impl Letters {
    /// Counts from now on.
    pub(super) fn watch(queues: &[DeadLetterQueue]) -> Self {
        Self(queues.iter().map(DeadLetterQueue::closing).collect())
    }

    /// Stops all redrives, and waits until they have ended and no letter is on its way to its store.
    pub(super) async fn close(&self) -> Result<(), String> {
        for queue in &self.0 {
            queue.stop_redrives();
        }
        while !self.0.iter().all(Closing::is_settled) {
            tokio::time::sleep(LOOK).await;
        }
        self.left().map_or(Ok(()), Err)
    }

    /// What is lost, or still under way.
    pub(super) fn left(&self) -> Option<String> {
        let left: Vec<_> = self.0.iter().filter_map(Closing::left).collect();
        (!left.is_empty()).then(|| left.join("; "))
    }
}

/// Ends the pipeline on a thread of its own, because that blocks, and because the blocking threads of the runtime may all be in
/// use.
pub(super) async fn end_telemetry(telemetry: Telemetry, limit: Duration) -> Result<(), String> {
    let (done, ended) = oneshot::channel();
    let thread = thread::Builder::new().name("campanile-shutdown".to_owned()).spawn(move || {
        // The caller may no longer wait.
        let _ = done.send(catch(|| telemetry.shutdown(limit)));
    });
    thread.map_err(|error| format!("telemetry was not exported: the system refused a thread: {error}"))?;
    match ended.await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(UNDELIVERED.to_owned()),
        Ok(Err(_)) | Err(_) => Err("telemetry was not exported: an exporter panicked".to_owned()),
    }
}

/// What the last export leaves if it does not end in time.
pub(super) const UNDELIVERED: &str = "some spans, metrics or logs were not delivered";

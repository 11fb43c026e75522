//! The handle of a loop, and the drain of all loops.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::control::{Control, Drained, MarkEnded, drain};
use super::handle::Worker;
use crate::base::error::ConfigError;

/// A loop that runs, started by [`Worker::run_loop`] or [`Worker::run_stream`]. Dropping the handle ends the loop at once, and
/// the run that is in progress.
#[must_use = "dropping it ends the loop"]
pub struct LoopHandle {
    control: Arc<Control>,
}

impl LoopHandle {
    /// Starts a loop in a task of its own.
    pub(super) fn start<F>(
        worker: &Worker,
        name: &str,
        body: impl FnOnce(Arc<Control>) -> F,
    ) -> Result<Self, ConfigError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Ok(runtime) = Handle::try_current() else {
            const WHY: &str = "there is no Tokio runtime; start the loop within one";
            return Err(ConfigError::because("loop", name, WHY).of("worker", worker.name()));
        };
        let control = Control::new(name);
        worker.inner.loops.add(&control);
        let (mark, body) = (MarkEnded(Arc::clone(&control)), body(Arc::clone(&control)));
        let task = runtime.spawn(async move {
            // Dropped after the body, so that an ended loop has counted its last run.
            let _mark = mark;
            body.await;
        });
        control.set_task(task.abort_handle());
        Ok(Self { control })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.control.name
    }

    /// Whether the loop has ended: it was drained, its stream ended, or the runtime was shut down.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.control.has_ended()
    }

    /// Stops the loop: it takes no new work. Waits up to `limit` for the run that is in progress, and then ends it.
    pub async fn drain(self, limit: Duration) -> Drained {
        drain(std::slice::from_ref(&self.control), None, limit).await
    }
}

impl Worker {
    /// Stops all loops of the worker: they take no new work. Waits up to `limit` for the runs that are in progress, and for
    /// the items of [`run`](Worker::run) outside of loops. Then it ends the runs of loops. It takes up to 100 ms longer, until
    /// they have ended. Do not await it within an item or a loop of the worker, for which it would wait.
    ///
    /// # Example
    /// ```
    /// use campanile::{Every, Worker};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), campanile::ConfigError> {
    /// let worker = Worker::builder("import").build()?;
    /// let poll = worker.run_loop("poll", Every::seconds(30), || async { Ok::<_, std::io::Error>(()) })?;
    /// // At the end of the program:
    /// let drained = worker.drain(Duration::from_secs(5)).await;
    /// assert!(drained.is_complete() && poll.is_finished());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn drain(&self, limit: Duration) -> Drained {
        let drained = drain(&self.inner.loops.all(), Some(&self.inner.items), limit).await;
        self.inner.log.report_all();
        drained
    }
}

impl Drop for LoopHandle {
    fn drop(&mut self) {
        self.control.abort();
    }
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopHandle")
            .field("name", &self.control.name)
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

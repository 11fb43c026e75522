//! Checks that block their thread.

use std::sync::Arc;

use super::check_trait::Check;
use super::finding::Finding;
use crate::base::clock::{self, Tick};
use crate::base::panics::Panic;
use crate::base::sync::Mutex;

/// Checks with a blocking function, such as a synchronous database call, a look at a file, or a lock.
///
/// The function runs on one of Tokio's blocking threads, one run at a time. A blocking run cannot be ended from outside:
/// while it lasts, the next runs fail, say for how long, and take no thread.
///
/// # Example
/// ```
/// use campanile::health::BlockingCheck;
/// use std::sync::{Arc, Mutex};
///
/// # #[cfg(feature = "sqlite")]
/// # fn main() -> Result<(), rusqlite::Error> {
/// let database = Arc::new(Mutex::new(rusqlite::Connection::open_in_memory()?));
/// let check = BlockingCheck::new(move || {
///     let database = database.lock().expect("not poisoned");
///     database.query_row("SELECT 1", [], |_| Ok(()))
/// });
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct BlockingCheck<F> {
    function: Arc<F>,
    thread: SingleThread,
}

impl<F, T> BlockingCheck<F>
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Into<Finding>,
{
    /// Checks by calling `function`. Its output converts into a [`Finding`] as that of an async check does.
    pub fn new(function: F) -> Self {
        Self { function: Arc::new(function), thread: SingleThread::default() }
    }
}

impl<F, T> Check for BlockingCheck<F>
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Into<Finding>,
{
    async fn check(&self) -> Finding {
        let function = Arc::clone(&self.function);
        self.thread.run(move || function().into()).await.into()
    }
}

/// Takes at most one blocking thread.
#[derive(Debug, Default)]
pub(super) struct SingleThread {
    busy_since: Arc<Mutex<Option<Tick>>>,
}

/// Marks the thread as free when it is dropped, even after a panic.
struct BusyGuard(Arc<Mutex<Option<Tick>>>);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

impl SingleThread {
    /// Runs `work`, or fails while earlier work runs. The work continues when the returned future is dropped.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let now = clock::now();
        {
            let mut busy_since = self.busy_since.lock();
            if let Some(since) = *busy_since {
                return Err(format!(
                    "the previous run still blocks its thread, for {:.1?} now",
                    now.since(since)
                ));
            }
            *busy_since = Some(now);
        }
        let busy = BusyGuard(Arc::clone(&self.busy_since));
        let done = tokio::task::spawn_blocking(move || {
            let _busy = busy;
            work()
        });
        match done.await {
            Ok(done) => Ok(done),
            Err(error) => {
                let message = error.to_string();
                match Panic::of_task(error) {
                    Some(panic) => panic.resume(),
                    // The runtime is shutting down.
                    None => Err(message),
                }
            }
        }
    }
}

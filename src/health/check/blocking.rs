//! Checks that block the thread that they run on.

use std::sync::Arc;

use super::{Check, Finding, IntoFinding};
use crate::base::clock::{self, Tick};
use crate::base::panics::Panic;
use crate::base::sync::Mutex;

/// A function that blocks, as a check: a call of a database that knows no `async`, a look at a file, a lock.
///
/// It runs on a thread on which blocking is allowed, one run at a time. A run that does not end cannot be ended from
/// outside: as long as it stands, the next ones fail and say since when, and take no thread.
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
///     let database = database.lock().expect("nobody panicked with it");
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
    thread: OneThread,
}

impl<F, T> BlockingCheck<F>
where
    F: Fn() -> T + Send + Sync + 'static,
    T: IntoFinding,
{
    /// Checks by calling `function`, which ends in anything that [tells](IntoFinding) how it went.
    pub fn new(function: F) -> Self {
        Self { function: Arc::new(function), thread: OneThread::default() }
    }
}

impl<F, T> Check for BlockingCheck<F>
where
    F: Fn() -> T + Send + Sync + 'static,
    T: IntoFinding,
{
    async fn check(&self) -> Finding {
        let function = Arc::clone(&self.function);
        self.thread.run(move || function().into_finding()).await.into_finding()
    }
}

/// At most one thread that blocks.
#[derive(Debug, Default)]
pub(super) struct OneThread {
    since: Arc<Mutex<Option<Tick>>>,
}

/// Says that the thread is free again, even when the work panicked.
struct Taken(Arc<Mutex<Option<Tick>>>);

impl Drop for Taken {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

impl OneThread {
    /// Runs `work` there, or says that it is taken. The work goes on when nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let now = clock::now();
        {
            let mut since = self.since.lock();
            if let Some(since) = *since {
                return Err(format!("the run before this one has not ended for {:.1?}", now.since(since)));
            }
            *since = Some(now);
        }
        let taken = Taken(Arc::clone(&self.since));
        let done = tokio::task::spawn_blocking(move || {
            let _taken = taken;
            work()
        });
        match done.await {
            Ok(done) => Ok(done),
            Err(broken) => {
                let why = broken.to_string();
                match Panic::of_task(broken) {
                    Some(panic) => panic.resume(),
                    // The runtime is shutting down.
                    None => Err(why),
                }
            }
        }
    }
}

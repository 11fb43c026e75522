//! Which queues are being repaired, and what was repaired.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::base::sync::Mutex;
use crate::store::Depth;

/// The time between a repair that failed and the next one.
const PAUSE: Duration = Duration::from_secs(5);

/// The repairs of all queues.
#[derive(Debug)]
pub(super) struct Repairs {
    /// How long a call waits for a repair.
    timeout: Duration,
    queues: Mutex<BTreeMap<Arc<str>, State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Open while a task repairs the queue.
    running: Option<watch::Receiver<()>>,
    /// When the last repair failed. `None` after one that was completed.
    failed: Option<Instant>,
    completed: u64,
    /// Letters that were lost, in whole or in part.
    lost: u64,
    /// The last letter whose expiry was checked.
    expiry_checked_to: String,
}

impl State {
    fn is_running(&self) -> bool {
        // The channel also closes when the task is dropped with its runtime.
        self.running.as_ref().is_some_and(|running| running.has_changed().is_ok())
    }
}

/// The result of a repair, for the log.
pub(super) struct Recorded {
    pub(super) completed: u64,
    /// Whether the repair before this one failed too.
    pub(super) failed_before: bool,
}

impl Repairs {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, queues: Mutex::default() }
    }

    fn with<T>(&self, queue: &str, change: impl FnOnce(&mut State) -> T) -> T {
        let mut queues = self.queues.lock();
        match queues.get_mut(queue) {
            Some(state) => change(state),
            None => change(queues.entry(queue.into()).or_default()),
        }
    }

    /// Marks the queue as being repaired until the sender is dropped. `None` if a repair is running or has just failed.
    pub(super) fn begin(&self, queue: &str) -> Option<watch::Sender<()>> {
        self.with(queue, |state| {
            let is_pausing = state.failed.is_some_and(|at| at.elapsed() < PAUSE);
            if state.is_running() || is_pausing {
                return None;
            }
            let (sender, receiver) = watch::channel(());
            state.running = Some(receiver);
            Some(sender)
        })
    }

    /// Records the end of a repair.
    pub(super) fn record(&self, queue: &str, is_completed: bool, lost: u64) -> Recorded {
        self.with(queue, |state| {
            let failed_before = state.failed.is_some();
            state.failed = (!is_completed).then(Instant::now);
            state.completed += u64::from(is_completed);
            state.lost += lost;
            Recorded { completed: state.completed, failed_before }
        })
    }

    /// How many repairs of a queue were completed.
    pub(super) fn completed(&self, queue: &str) -> u64 {
        self.queues.lock().get(queue).map_or(0, |state| state.completed)
    }

    /// Waits for the running repair, if there is one. Returns whether more than `before` repairs are completed.
    pub(super) async fn wait(&self, queue: &str, before: u64) -> bool {
        let running = self.queues.lock().get(queue).and_then(|state| state.running.clone());
        if let Some(mut running) = running {
            // The repair ends when its sender is dropped.
            let _ = timeout(self.timeout, async { while running.changed().await.is_ok() {} }).await;
        }
        self.completed(queue) > before
    }

    pub(super) fn is_running(&self, queue: &str) -> bool {
        self.queues.lock().get(queue).is_some_and(State::is_running)
    }

    pub(super) fn add_to(&self, queue: &str, depth: Depth) -> Depth {
        let (repairs, lost) =
            self.queues.lock().get(queue).map_or((0, 0), |state| (state.completed, state.lost));
        Depth { repairs, lost, ..depth }
    }

    pub(super) fn expiry_checked_to(&self, queue: &str) -> String {
        self.queues.lock().get(queue).map(|state| state.expiry_checked_to.clone()).unwrap_or_default()
    }

    pub(super) fn set_expiry_checked_to(&self, queue: &str, id: String) {
        if !id.is_empty() || !self.expiry_checked_to(queue).is_empty() {
            self.with(queue, |state| state.expiry_checked_to = id);
        }
    }
}

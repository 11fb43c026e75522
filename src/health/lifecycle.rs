//! Whether the process is starting, serving or draining.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::base::clock::{self, Tick};
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How long gRPC streams stay open after a drain without a grace period.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// The state of the process, and a channel that announces its changes.
#[derive(Debug)]
pub(super) struct Lifecycle {
    /// The gates that are not done, each with an id.
    pending_gates: Mutex<Vec<(u64, Arc<str>)>>,
    next_gate: AtomicU64,
    started: AtomicBool,
    draining: AtomicBool,
    /// When gRPC streams end.
    streams_end: Mutex<Option<Tick>>,
    /// Grows with each change of the above.
    version: AtomicU64,
    changes: watch::Sender<()>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self {
            pending_gates: Mutex::default(),
            next_gate: AtomicU64::new(0),
            started: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            streams_end: Mutex::default(),
            version: AtomicU64::new(0),
            changes: watch::Sender::new(()),
        }
    }
}

// ===== starting =====

impl Lifecycle {
    /// Adds a startup gate and returns its id.
    pub(super) fn add_gate(&self, name: &Arc<str>) -> u64 {
        let id = self.next_gate.fetch_add(1, Ordering::Relaxed);
        self.pending_gates.lock().push((id, Arc::clone(name)));
        self.changed();
        id
    }

    /// Marks a gate as done.
    pub(super) fn finish_gate(&self, id: u64) {
        self.pending_gates.lock().retain(|(pending, _)| *pending != id);
        self.changed();
    }

    /// The names of the gates that are not done, in the order in which they were added.
    pub(super) fn pending_gates(&self) -> Vec<Arc<str>> {
        self.pending_gates.lock().iter().map(|(_, name)| Arc::clone(name)).collect()
    }

    /// Whether a gate was ever added.
    pub(super) fn had_gates(&self) -> bool {
        self.next_gate.load(Ordering::Relaxed) > 0
    }

    /// Whether the start is complete. Once true, it stays true.
    pub(super) fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    pub(super) fn set_started(&self) {
        if !self.started.swap(true, Ordering::AcqRel) {
            self.changed();
        }
    }
}

// ===== draining =====

impl Lifecycle {
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Starts the drain. gRPC streams end after `grace`, or after [`DEFAULT_GRACE`].
    pub(super) fn drain(&self, grace: Option<Duration>) {
        let end = clock::now() + grace.unwrap_or(DEFAULT_GRACE);
        // A `drain` before the shutdown must not shorten the grace period.
        if grace.is_some() || !self.is_draining() {
            *self.streams_end.lock() = Some(end);
        }
        self.draining.store(true, Ordering::Release);
        self.changed();
    }

    /// When gRPC streams end; `None` while the process does not drain.
    pub(super) fn streams_end(&self) -> Option<Tick> {
        *self.streams_end.lock()
    }
}

// ===== changes =====

impl Lifecycle {
    /// A number that differs after each change.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Wakes the tasks that wait for a change, here or elsewhere in health.
    pub(super) fn notify(&self) {
        self.changes.send_replace(());
    }

    /// Receives each change. An error means that the health was dropped.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.notify();
    }
}

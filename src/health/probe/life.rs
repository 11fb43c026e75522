//! Where in its life the process is: starting, serving, or on its way out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::base::clock::{self, Tick};
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Those who watch hear the end of their stream so long after the drain began, if nobody said when the server ends.
const LINGER: Duration = Duration::from_secs(5);

/// Where the process is, and who wants to know of it.
#[derive(Debug)]
pub(in crate::health) struct Life {
    /// The gates that are closed, each with a number of its own.
    closed: Mutex<Vec<(u64, Arc<str>)>>,
    gates: AtomicU64,
    started: AtomicBool,
    draining: AtomicBool,
    /// Until when those who watch are told more.
    watched_until: Mutex<Option<Tick>>,
    /// Another number after each change of the above.
    version: AtomicU64,
    changes: watch::Sender<()>,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            closed: Mutex::default(),
            gates: AtomicU64::new(0),
            started: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            watched_until: Mutex::default(),
            version: AtomicU64::new(0),
            changes: watch::Sender::new(()),
        }
    }
}

// ===== starting =====

impl Life {
    /// Closes a gate; the number that opens it.
    pub(super) fn close(&self, name: &Arc<str>) -> u64 {
        let number = self.gates.fetch_add(1, Ordering::Relaxed);
        self.closed.lock().push((number, Arc::clone(name)));
        self.changed();
        number
    }

    pub(super) fn open(&self, number: u64) {
        self.closed.lock().retain(|(closed, _)| *closed != number);
        self.changed();
    }

    /// The names of the gates that are closed, in the order in which they were made.
    pub(super) fn closed(&self) -> Vec<Arc<str>> {
        self.closed.lock().iter().map(|(_, name)| Arc::clone(name)).collect()
    }

    /// Whether there ever was a gate.
    pub(super) fn had_gates(&self) -> bool {
        self.gates.load(Ordering::Relaxed) > 0
    }

    /// Whether the start is over for good.
    pub(in crate::health) fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    pub(super) fn start(&self) {
        if !self.started.swap(true, Ordering::AcqRel) {
            self.changed();
        }
    }
}

// ===== on its way out =====

impl Life {
    pub(in crate::health) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// No new requests from now on; those who watch are told more for `grace`, or for a while of our own.
    pub(super) fn drain(&self, grace: Option<Duration>) {
        let until = clock::now() + grace.unwrap_or(LINGER);
        // The last one to say so knows best: a plain drain before the signal must not cut the grace short.
        if grace.is_some() || !self.is_draining() {
            *self.watched_until.lock() = Some(until);
        }
        self.draining.store(true, Ordering::Release);
        self.changed();
    }

    /// Until when those who watch are told more; `None` as long as nobody drains.
    pub(super) fn watched_until(&self) -> Option<Tick> {
        *self.watched_until.lock()
    }
}

// ===== who wants to know =====

impl Life {
    /// Another number after each change.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Wakes those who wait: here or elsewhere in health something has changed.
    pub(in crate::health) fn wake(&self) {
        self.changes.send_replace(());
    }

    /// Hears of each change; an error means that the health is gone.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
        self.wake();
    }
}

//! The state that the handles of a spill and its drainer share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::Notify;

use super::circuit::Circuit;
use crate::base::sync::Mutex;
use crate::store::error::Kind;
use crate::store::{LetterId, Limits, SqliteStore, Store, StoreError, WhenFull};

pub(super) struct Shared {
    pub(super) store: Box<dyn Store>,
    pub(super) spill: SqliteStore,
    /// How long the store may take before a caller's letter goes to the spill.
    pub(super) put_timeout: Duration,
    /// The limits of the spill.
    pub(super) limits: Limits,
    pub(super) circuit: Circuit,
    /// The queues of this process.
    pub(super) queues: Mutex<BTreeMap<Arc<str>, Queue>>,
    /// How often moving a letter out of the spill failed.
    pub(super) failures: Mutex<BTreeMap<LetterId, u32>>,
    /// Whether the drainer runs.
    pub(super) is_draining: AtomicBool,
    /// Whether the drainer waits for letters.
    pub(super) is_idle: AtomicBool,
    pub(super) wake: Arc<Notify>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    pub(super) limits: Limits,
    /// Entries that the store removed to make room for spilled ones.
    pub(super) evicted: u64,
}

impl Shared {
    /// The store has answered a put in time.
    pub(super) fn answered(&self) {
        if self.circuit.answered() {
            let spill = self.spill.path().display();
            tracing::info!(%spill, "the dead-letter store answers again; the spill is drained into it");
        }
    }
}

/// The limits to pass to the store, which knows nothing of the spill.
pub(super) fn for_store(limits: Limits) -> Limits {
    let when_full = match limits.when_full {
        WhenFull::Spill => WhenFull::RefuseNew,
        other => other,
    };
    Limits { when_full, ..limits }
}

pub(super) fn timed_out(queue: &str, limit: Duration) -> StoreError {
    let message = format!("the store did not take a dead letter of queue `{queue}` within {limit:?}");
    StoreError::new(Kind::TimedOut, message)
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

//! The state that all gRPC streams of `Watch` read.
//!
//! One task takes snapshots and publishes what has changed; up to thousands of streams receive it. The task starts with
//! the first stream and ends after the last one.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;

use crate::base::clock;
use crate::base::sync::Mutex;
use crate::health::handle::Health;
use crate::health::inner::Inner;

/// The minimum time between two snapshots that no change caused.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// The state that streams send.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ServingState {
    ready: bool,
    draining: bool,
    /// Each component and whether it serves, sorted by name.
    components: Vec<(Arc<str>, bool)>,
    /// Whether this is the last state: streams end after it.
    pub(super) last: bool,
}

impl ServingState {
    fn of(inner: &Inner) -> Self {
        let now = clock::now();
        let last = inner.lifecycle.streams_end().is_some_and(|end| end <= now);
        let components = inner
            .recent()
            .components
            .iter()
            .map(|component| (Arc::clone(&component.name), component.serves()))
            .collect();
        Self { ready: inner.is_ready(), draining: inner.is_draining(), components, last }
    }

    /// Whether the process (the empty name) or a component serves; `None` for an unknown name.
    pub(super) fn serves(&self, service: &str) -> Option<bool> {
        if service.is_empty() {
            return Some(self.ready);
        }
        let index = self.components.binary_search_by(|(name, _)| name.as_ref().cmp(service)).ok()?;
        self.components.get(index).map(|(_, serves)| *serves && !self.draining)
    }
}

type Receiver = watch::Receiver<Arc<ServingState>>;

/// The channel of states, while there are streams.
#[derive(Debug, Default)]
pub(super) struct ServingUpdates {
    receiver: Arc<Mutex<Option<Receiver>>>,
}

impl ServingUpdates {
    /// A receiver for one more stream; `None` when streams have ended since the process drains.
    pub(super) fn subscribe(&self, health: &Health) -> Option<Receiver> {
        let mut kept = self.receiver.lock();
        // The channel is closed if its task ended with its runtime.
        if let Some(receiver) = kept.as_ref().filter(|receiver| receiver.has_changed().is_ok()) {
            return (!receiver.borrow().last).then(|| receiver.clone());
        }
        let state = ServingState::of(&health.inner);
        if state.last {
            return None;
        }
        let (sender, receiver) = watch::channel(Arc::new(state));
        *kept = Some(receiver.clone());
        let changes = health.inner.lifecycle.changes();
        tokio::spawn(publish(Arc::downgrade(&health.inner), Arc::clone(&self.receiver), sender, changes));
        Some(receiver)
    }
}

/// Publishes changes while there are streams.
async fn publish(
    inner: Weak<Inner>,
    kept: Arc<Mutex<Option<Receiver>>>,
    sender: watch::Sender<Arc<ServingState>>,
    mut changes: watch::Receiver<()>,
) {
    loop {
        let pause = {
            let Some(inner) = inner.upgrade() else { return };
            let state = ServingState::of(&inner);
            let last = state.last;
            sender.send_if_modified(|sent| {
                let changed = **sent != state;
                if changed {
                    *sent = Arc::new(state);
                }
                changed
            });
            if last {
                return;
            }
            let left = inner.lifecycle.streams_end().map(|end| end.since(clock::now()));
            inner.config().settings.cached_for.max(MIN_INTERVAL).min(left.unwrap_or(Duration::MAX))
        };
        if let Ok(Err(_)) = tokio::time::timeout(pause, changes.changed()).await {
            // The health was dropped.
            return;
        }
        let mut kept = kept.lock();
        // The receiver in `kept` belongs to no stream.
        if sender.receiver_count() <= 1 {
            *kept = None;
            return;
        }
    }
}

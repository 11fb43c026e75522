//! The state that the handle of a queue, its layers and its redrives share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::identity::identity;
use super::queue_store::QueueStore;
use super::redact::LetterRedactor;
use super::running::Redrives;
use super::settings::DeadLetterSettings;
use super::snapshot::QueueSnapshot;
use crate::base::sync::Mutex;
use crate::signal::{HandleKind, Identity, Place, UnreadStatus};
use crate::store::{Limits, Store};

/// How warnings and metrics name a queue.
pub(super) const KIND: HandleKind =
    HandleKind { layer: "dead_letter", kind: "dead letter queue", http_layer: "`.http_layer()`" };

#[derive(Debug)]
pub(super) struct Core {
    pub(super) name: Arc<str>,
    pub(super) component: Arc<str>,
    pub(super) settings: DeadLetterSettings,
    pub(super) store: Arc<QueueStore>,
    pub(super) redactor: LetterRedactor,
    /// The service, version and instance that the settings and the environment name.
    pub(super) identity: Identity,
    pub(super) redrives: Arc<Redrives>,
    /// Whether the task that removes expired letters runs.
    pub(super) expiry_runs: AtomicBool,
    /// Under one lock, so that the sums are right at every moment. Only failures take it.
    counts: Mutex<QueueSnapshot>,
    pub(super) unread: UnreadStatus,
}

impl Core {
    pub(super) fn new(
        name: Arc<str>,
        settings: DeadLetterSettings,
        redactor: LetterRedactor,
        store: Arc<dyn Store>,
    ) -> Self {
        let limits =
            Limits { capacity: settings.capacity, bytes: settings.max_bytes, when_full: settings.when_full };
        Self {
            component: settings.component.as_deref().map_or_else(|| Arc::clone(&name), Into::into),
            store: Arc::new(QueueStore::new(Arc::clone(&name), store, limits)),
            name,
            redactor,
            identity: identity(&settings),
            settings,
            redrives: Arc::default(),
            expiry_runs: AtomicBool::new(false),
            counts: Mutex::new(QueueSnapshot::default()),
            unread: UnreadStatus::default(),
        }
    }

    /// Counts a call whose response is a `Res`, if that has a status that the default classifier does not read.
    #[inline(always)]
    pub(super) fn see<Res>(&self) {
        self.unread.see::<Res>(&KIND, &self.name, Place::Layer);
    }

    /// Reads or changes the counters.
    pub(super) fn count<T>(&self, change: impl FnOnce(&mut QueueSnapshot) -> T) -> T {
        change(&mut self.counts.lock())
    }
}

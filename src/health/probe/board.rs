//! The board that all who watch over gRPC look at.
//!
//! One task looks at health and posts what has changed; a thousand streams read it. It begins with the first who
//! watches and ends with the last, so that nothing is looked at for nobody.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;

use crate::base::clock;
use crate::base::sync::Mutex;
use crate::health::handle::{Health, Inner};

/// The least time between two looks that nothing asked for.
const LEAST: Duration = Duration::from_millis(100);

/// What is known of all, as far as those who watch may know it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Posted {
    /// Whether the process is ready.
    ready: bool,
    draining: bool,
    /// The components by name, and whether they serve.
    components: Vec<(Arc<str>, bool)>,
    /// Nothing more comes: the stream ends.
    pub(super) over: bool,
}

impl Posted {
    fn of(inner: &Inner) -> Self {
        let life = &inner.life;
        let now = clock::now();
        let over = life.watched_until().is_some_and(|until| until <= now);
        let draining = life.is_draining();
        let components = inner
            .recent()
            .components
            .iter()
            .map(|component| (Arc::clone(&component.name), component.serves()))
            .collect();
        Self { ready: inner.is_ready(), draining, components, over }
    }

    /// Whether what goes by that name serves; `None` when nothing does.
    pub(super) fn serves(&self, service: &str) -> Option<bool> {
        if service.is_empty() {
            return Some(self.ready);
        }
        let place = self.components.binary_search_by(|(name, _)| name.as_ref().cmp(service)).ok()?;
        self.components.get(place).map(|(_, serves)| *serves && !self.draining)
    }
}

type Latest = watch::Receiver<Arc<Posted>>;

/// Where it hangs, while somebody watches.
#[derive(Debug, Default)]
pub(super) struct Board {
    latest: Arc<Mutex<Option<Latest>>>,
}

impl Board {
    /// One more who watches; `None` when the time for that is over.
    pub(super) fn watch(&self, health: &Health) -> Option<Latest> {
        let mut latest = self.latest.lock();
        // That of a task that ended with its runtime is closed.
        if let Some(latest) = latest.as_ref().filter(|latest| latest.has_changed().is_ok()) {
            return (!latest.borrow().over).then(|| latest.clone());
        }
        let posted = Posted::of(&health.inner);
        if posted.over {
            return None;
        }
        let (sender, receiver) = watch::channel(Arc::new(posted));
        *latest = Some(receiver.clone());
        let changes = health.life().changes();
        tokio::spawn(post(Arc::downgrade(&health.inner), Arc::clone(&self.latest), sender, changes));
        Some(receiver)
    }
}

/// Posts what changes as long as somebody watches.
async fn post(
    inner: Weak<Inner>,
    latest: Arc<Mutex<Option<Latest>>>,
    sender: watch::Sender<Arc<Posted>>,
    mut changes: watch::Receiver<()>,
) {
    loop {
        let pause = {
            let Some(inner) = inner.upgrade() else { return };
            let posted = Posted::of(&inner);
            let over = posted.over;
            sender.send_if_modified(|last| {
                let changed = **last != posted;
                if changed {
                    *last = Arc::new(posted);
                }
                changed
            });
            if over {
                return;
            }
            let left = inner.life.watched_until().map(|until| until.since(clock::now()));
            inner.said().settings.cached_for.max(LEAST).min(left.unwrap_or(Duration::MAX))
        };
        if let Ok(Err(_)) = tokio::time::timeout(pause, changes.changed()).await {
            // There is no health any more that could change.
            return;
        }
        let mut latest = latest.lock();
        // The one in the board itself is no one who watches.
        if sender.receiver_count() <= 1 {
            *latest = None;
            return;
        }
    }
}

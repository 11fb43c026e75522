//! A cache of serialized answers: each is serialized once for a snapshot.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

use super::report::{self, Page};
use crate::health::handle::Health;
use crate::health::snapshot::HealthSnapshot;

/// The answers that depend on the state of health.
#[derive(Clone, Copy, Debug)]
pub(super) enum PageKind {
    Ready,
    ReadyVerbose,
    Startup,
    Health,
    HealthVerbose,
}

impl PageKind {
    const COUNT: usize = Self::HealthVerbose as usize + 1;
}

/// The answers of the last snapshot.
#[derive(Debug, Default)]
pub(super) struct PageCache {
    current: ArcSwapOption<SnapshotPages>,
}

/// The answers of one snapshot that were requested.
#[derive(Debug)]
struct SnapshotPages {
    snapshot: Arc<HealthSnapshot>,
    /// The version of the lifecycle.
    version: u64,
    pages: [OnceLock<Page>; PageKind::COUNT],
}

impl PageCache {
    pub(super) fn get(&self, health: &Health, kind: PageKind) -> Page {
        // Read first: a change while the page is serialized makes the page outdated.
        let version = health.inner.lifecycle.version();
        let snapshot = health.inner.recent();
        let current = self.current.load();
        if let Some(cached) = &*current
            && cached.version == version
            && Arc::ptr_eq(&cached.snapshot, &snapshot)
        {
            return cached.page(health, kind);
        }
        let fresh = Arc::new(SnapshotPages { snapshot, version, pages: Default::default() });
        self.current.store(Some(Arc::clone(&fresh)));
        fresh.page(health, kind)
    }
}

impl SnapshotPages {
    fn page(&self, health: &Health, kind: PageKind) -> Page {
        let snapshot = &*self.snapshot;
        let page = self.pages[kind as usize].get_or_init(|| match kind {
            PageKind::Ready => report::ready(&health.readiness_of(snapshot), snapshot, false),
            PageKind::ReadyVerbose => report::ready(&health.readiness_of(snapshot), snapshot, true),
            PageKind::Startup => report::startup(&health.inner.waiting_for()),
            PageKind::Health => report::health(snapshot, false),
            PageKind::HealthVerbose => report::health(snapshot, true),
        });
        page.clone()
    }
}

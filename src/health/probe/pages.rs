//! What the probes answer, kept as it goes out.
//!
//! A flood asks the same thing again and again: each answer is written once for a snapshot, and then shared.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::StatusCode;

use super::report;
use crate::health::handle::Health;
use crate::health::snapshot::HealthSnapshot;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Ready,
    ReadyVerbose,
    Started,
    Health,
    HealthVerbose,
}

impl Asked {
    const NUMBER: usize = Self::HealthVerbose as usize + 1;
}

/// An answer: its code and its body.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) code: StatusCode,
    pub(super) body: Bytes,
}

/// The answers of the moment.
#[derive(Debug, Default)]
pub(super) struct Pages {
    now: ArcSwapOption<Written>,
}

/// The answers that were asked for since something changed.
#[derive(Debug)]
struct Written {
    snapshot: Arc<HealthSnapshot>,
    version: u64,
    pages: [OnceLock<Page>; Asked::NUMBER],
}

impl Pages {
    /// The answer of this moment; writes it when nobody has since something changed.
    pub(super) fn get(&self, health: &Health, asked: Asked) -> Page {
        // Before what it is the version of: what changes meanwhile makes it an old one.
        let version = health.life().version();
        let snapshot = health.recent();
        let now = self.now.load();
        if let Some(written) = &*now
            && written.version == version
            && Arc::ptr_eq(&written.snapshot, &snapshot)
        {
            return written.page(health, asked);
        }
        let written = Arc::new(Written { snapshot, version, pages: Default::default() });
        self.now.store(Some(Arc::clone(&written)));
        written.page(health, asked)
    }
}

impl Written {
    fn page(&self, health: &Health, asked: Asked) -> Page {
        let page = self.pages[asked as usize].get_or_init(|| match asked {
            Asked::Ready => report::ready(&health.inner.readiness(&self.snapshot), &self.snapshot, false),
            Asked::ReadyVerbose => {
                report::ready(&health.inner.readiness(&self.snapshot), &self.snapshot, true)
            }
            Asked::Started => report::started(&health.startup()),
            Asked::Health => report::health(&self.snapshot, false),
            Asked::HealthVerbose => report::health(&self.snapshot, true),
        });
        page.clone()
    }
}

//! The counters of a handle.

use super::kinds::{CallEnd, FallbackKind, NotKept};
use super::snapshot::FallbackSnapshot;
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// The counters of one handle.
#[derive(Debug, Default)]
pub(super) struct Counters {
    calls: [[AtomicU64; CallEnd::ALL.len()]; FallbackKind::ALL.len()],
    kept: AtomicU64,
    kept_bytes: AtomicU64,
    evicted: AtomicU64,
    not_kept: [AtomicU64; NotKept::ALL.len()],
}

impl Counters {
    #[inline]
    pub(super) fn call(&self, kind: FallbackKind, end: CallEnd) {
        self.calls[kind as usize][end as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn calls(&self, kind: FallbackKind, end: CallEnd) -> u64 {
        self.calls[kind as usize][end as usize].load(Ordering::Relaxed)
    }

    pub(super) fn kept(&self, bytes: usize) {
        self.kept.fetch_add(1, Ordering::Relaxed);
        self.kept_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts an answer that is no longer kept: it was replaced.
    pub(super) fn removed(&self, bytes: usize) {
        self.kept.fetch_sub(1, Ordering::Relaxed);
        self.kept_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn evicted(&self, bytes: usize) {
        self.removed(bytes);
        self.evicted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn not_kept(&self, why: NotKept) {
        self.not_kept[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> FallbackSnapshot {
        let sum = |end| FallbackKind::ALL.into_iter().map(|kind| self.calls(kind, end)).sum::<u64>();
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let answered = FallbackKind::ALL.map(|kind| (kind, self.calls(kind, CallEnd::Answered)));
        FallbackSnapshot {
            calls: CallEnd::ALL.into_iter().map(sum).sum(),
            successes: sum(CallEnd::Success),
            answered: answered.into(),
            missing: sum(CallEnd::Missing),
            failures: sum(CallEnd::Failed),
            cancelled: sum(CallEnd::Cancelled),
            kept: load(&self.kept),
            kept_bytes: load(&self.kept_bytes),
            evicted: load(&self.evicted),
            not_kept: NotKept::ALL.map(|why| (why, load(&self.not_kept[why as usize]))).into(),
        }
    }
}

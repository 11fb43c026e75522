//! The counts of a fallback.

use std::collections::BTreeMap;

use serde::Serialize;

use super::kinds::{FallbackKind, NotKept};

/// The counts of a [`Fallback`](crate::Fallback) since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FallbackSnapshot {
    /// Calls that ended.
    pub calls: u64,
    /// Calls whose first try was no failure.
    pub successes: u64,
    /// Calls that the fallback answered, by its kind.
    pub answered: BTreeMap<FallbackKind, u64>,
    /// Failed calls for which the fallback had no answer: no last good answer was kept.
    pub missing: u64,
    /// Failed calls whose fallback failed too.
    pub failures: u64,
    /// Calls whose future was dropped before its end, and calls whose work panicked.
    pub cancelled: u64,
    /// Last good answers that are kept.
    pub kept: u64,
    /// The size of these answers, in bytes.
    pub kept_bytes: u64,
    /// Answers that were dropped for newer ones, or because they were too old.
    pub evicted: u64,
    /// Good answers that were not kept, by reason.
    pub not_kept: BTreeMap<NotKept, u64>,
}

//! The record of a purge.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::filter::LetterFilter;
use crate::base::cut::shorten;
use crate::base::moment;

/// The number of purge records that a store keeps for each queue.
pub(super) const PURGES_KEPT: usize = 1_000;

/// The longest [`PurgeRecord::by`], in bytes.
const LONGEST_NAME: usize = 256;

/// Who removed which letters, and when: see [`DeadLetterQueue::purge`](crate::DeadLetterQueue::purge).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PurgeRecord {
    /// When the purge began, to the microsecond.
    #[serde(with = "crate::base::moment::as_micros")]
    pub at: SystemTime,
    /// Who purged: the name that the caller gave, cut to 256 bytes, or else the program and its process id.
    pub by: String,
    /// Which letters were to be removed.
    pub filter: LetterFilter,
    /// How many letters were removed.
    pub purged: u64,
}

impl PurgeRecord {
    /// The record of a purge that begins now and has removed no letter yet. The queue makes it; tests of stores need
    /// it.
    #[doc(hidden)]
    #[must_use]
    pub fn new(by: impl Into<String>, filter: LetterFilter) -> Self {
        let mut by = by.into();
        shorten(&mut by, LONGEST_NAME);
        Self { at: moment::now(), by, filter, purged: 0 }
    }
}

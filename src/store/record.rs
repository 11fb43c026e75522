//! What was done to a queue by hand.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::LetterFilter;
use crate::base::cut::shorten;
use crate::base::moment;

/// The purges of one queue that are remembered: the last so many.
pub const PURGES_KEPT: usize = 1_000;

/// Bytes of a name that are kept.
const LONGEST: usize = 256;

/// A purge: who removed what, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PurgeRecord {
    /// When, to the microsecond.
    #[serde(with = "crate::base::moment::as_micros")]
    pub at: SystemTime,
    /// Who: a name that was given, up to 256 bytes of it, or the program and its process.
    pub by: String,
    /// What was asked for.
    pub filter: LetterFilter,
    /// How many letters went.
    pub purged: u64,
}

impl PurgeRecord {
    /// A purge of `filter` by `by`, now, that has removed nothing yet.
    #[must_use]
    pub fn new(by: impl Into<String>, filter: LetterFilter) -> Self {
        let mut by = by.into();
        shorten(&mut by, LONGEST);
        Self { at: moment::now(), by, filter, purged: 0 }
    }
}

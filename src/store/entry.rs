//! What a store keeps.

use std::sync::Arc;
use std::time::SystemTime;

use super::{Fingerprint, LetterId};
use crate::base::outcome::FailureKind;

/// A letter as a store sees it: fields to filter by, and bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id; a later one is larger, by the clock of the process that made it.
    pub id: LetterId,
    /// The queue it lies in.
    pub queue: Arc<str>,
    /// The component that failed.
    pub component: Arc<str>,
    /// How it failed last.
    pub kind: FailureKind,
    /// What it has in common with failures of the same cause.
    pub fingerprint: Fingerprint,
    /// When it failed first, to the microsecond.
    pub first_failed: SystemTime,
    /// When it failed last, to the microsecond.
    pub last_failed: SystemTime,
    /// When it may be sent again by itself, to the microsecond; at any time if it is none.
    pub due: Option<SystemTime>,
    /// When it is of no use any more, to the microsecond; never if it is none.
    pub expires: Option<SystemTime>,
    /// Whether it failed so often that it is left alone until somebody asks for it.
    pub set_aside: bool,
    /// The letter without the body of its request.
    pub head: Vec<u8>,
    /// The body of its request.
    pub body: Vec<u8>,
}

impl Entry {
    /// The bytes that its size is counted by.
    #[must_use]
    pub fn size(&self) -> u64 {
        (self.head.len() + self.body.len()) as u64
    }

    /// Whether it is of no use any more at `now`.
    #[must_use]
    pub fn has_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

//! A letter as a store sees it.

use std::sync::Arc;
use std::time::SystemTime;

use super::ids::{Fingerprint, LetterId};
use crate::base::outcome::FailureKind;

/// A letter as a store sees it: fields to filter by, and bytes. Times have a resolution of one microsecond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The letter's id. Ids grow with time, by the clock of the process that parked the letter.
    pub id: LetterId,
    /// The name of its queue.
    pub queue: Arc<str>,
    /// The component that failed.
    pub component: Arc<str>,
    /// The kind of its last failure.
    pub kind: FailureKind,
    /// The fingerprint of its failure, which failures of the same cause share.
    pub fingerprint: Fingerprint,
    /// When it failed first.
    pub first_failed: SystemTime,
    /// When it failed last.
    pub last_failed: SystemTime,
    /// When a redrive in the background may send it again. `None`: at any time.
    pub due: Option<SystemTime>,
    /// When it expires. `None`: never.
    pub expires: Option<SystemTime>,
    /// Whether it is set aside: no redrive sends it until a person asks for it.
    pub set_aside: bool,
    /// The letter without the body of its request.
    pub head: Vec<u8>,
    /// The body of its request.
    pub body: Vec<u8>,
}

impl Entry {
    /// The bytes of head and body, by which [`Limits::bytes`](super::Limits::bytes) counts.
    #[must_use]
    pub fn size(&self) -> u64 {
        (self.head.len() + self.body.len()) as u64
    }

    /// Whether it has expired at `now`.
    #[must_use]
    pub(crate) fn has_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

//! Leases on letters.
//!
//! Several processes may send the letters of one queue. Each claims the letters that it is about to send. A claim ends
//! with its lease, which its owner can renew. When a process dies, its letters are free again at the end of their lease.

use std::time::{Duration, SystemTime};

use super::entry::Entry;
use super::ids::{LetterId, Owner};

/// A request to claim letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who will send the letters.
    pub owner: Owner,
    /// The current time by the wall clock of this process. The stores of this crate convert it to their own clock.
    pub now: SystemTime,
    /// How long no other owner can claim the letters.
    pub lease: Duration,
    /// Leaves out letters that are due after this time. `None` claims them too.
    pub due_by: Option<SystemTime>,
    /// Stops after the letter with which the sum of [`Entry::size`] reaches this many bytes.
    pub bytes: u64,
}

/// The outcome for a claimed letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was delivered. The store removes it, even if another owner holds it.
    Delivered(LetterId),
    /// It failed again. This entry replaces it and no owner holds it, unless it is gone or another owner holds it now.
    Failed(Entry),
    /// It was not sent, but changed. As [`Settled::Failed`], except that no failure is counted.
    Changed(Entry),
    /// It was not sent. No owner holds it any more, unless another owner holds it now.
    Released(LetterId),
}

// ===== impl Settled =====

impl Settled {
    /// The id of the letter.
    #[must_use]
    pub(crate) fn id(&self) -> LetterId {
        match self {
            Self::Delivered(id) | Self::Released(id) => *id,
            Self::Failed(entry) | Self::Changed(entry) => entry.id,
        }
    }
}

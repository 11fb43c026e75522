//! Letters that somebody is sending.
//!
//! Several processes may send the letters of one queue. Each claims what it is about to send, for a time that it can
//! prolong: what a process that died held is free again when that time is over.

use std::time::{Duration, SystemTime};

use super::{Entry, LetterId, Owner};

/// A wish to send letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who will send them.
    pub owner: Owner,
    /// What time it is by the wall clock of this process, which may be set; the stores of this crate translate it.
    pub now: SystemTime,
    /// For how long nobody else gets them.
    pub lease: Duration,
    /// Leaves out the letters that are due later; none takes them too.
    pub due_by: Option<SystemTime>,
    /// The letter with which their bytes, by [`Entry::size`], reach this many is the last: how large one is only the
    /// store knows.
    pub bytes: u64,
}

/// What became of a claimed letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It got through: it is removed, whoever holds it.
    Delivered(LetterId),
    /// It failed again: this takes its place and nobody holds it, unless it is gone or another owner holds it by now.
    Failed(Entry),
    /// It was not sent, but changed: as [`Settled::Failed`], and no failure is counted.
    Changed(Entry),
    /// It was not sent: nobody holds it, unless another owner holds it by now.
    Released(LetterId),
}

// ===== impl Settled =====

impl Settled {
    /// The letter it is about.
    #[must_use]
    pub fn id(&self) -> LetterId {
        match self {
            Self::Delivered(id) | Self::Released(id) => *id,
            Self::Failed(entry) | Self::Changed(entry) => entry.id,
        }
    }
}

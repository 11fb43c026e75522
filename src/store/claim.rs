//! Letters that somebody is sending.
//!
//! Several processes may send the letters of one queue. Each claims what it is about to send, for a time that it can
//! prolong: what a process that died held is free again when that time is over.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::{Entry, LetterId, ParseIdError};

/// Who claims letters: one run of a redrive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(Uuid);

/// A wish to send letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who will send them.
    pub owner: Owner,
    /// What time it is, for a store that has no clock of its own.
    pub now: SystemTime,
    /// For how long nobody else gets them.
    pub lease: Duration,
    /// Leaves out the letters that are due later; none takes them too.
    pub due_by: Option<SystemTime>,
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

// ===== impl Owner =====

impl Owner {
    /// A new one, unlike every other.
    #[must_use]
    #[allow(clippy::new_without_default)] // No two are equal.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Its 16 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// The owner with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Owner({self})")
    }
}

impl FromStr for Owner {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| ParseIdError::new(text, "an owner is a UUID"))
    }
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

//! The result of an attempt, as a target judges it.

use std::time::Duration;

use super::snapshot::GiveUp;
use crate::base::outcome::Outcome;

/// The result of an attempt.
#[derive(Debug)]
pub(super) struct AttemptResult<O> {
    /// The caller's result, if this was the last attempt.
    pub(super) output: O,
    pub(super) outcome: Outcome,
    /// Why no attempt may follow, if this one failed.
    pub(super) veto: Option<GiveUp>,
    /// The delay that the server asks for.
    pub(super) server_delay: Option<ServerDelay>,
}

/// The delay before the next attempt that a server asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerDelay {
    /// At least this long.
    AtLeast(Duration),
    /// Exactly this long. The backoff starts again after it.
    Exactly(Duration),
}

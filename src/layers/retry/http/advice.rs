//! The advice in the head of a response about another attempt.

use crate::base::outcome::Outcome;
use crate::layers::retry::attempt_result::ServerDelay;

/// The advice in the head of a response about another attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Advice {
    pub(super) outcome: Outcome,
    /// The server reports that it did not process the request.
    pub(super) not_processed: bool,
    /// The server forbids another attempt.
    pub(super) forbidden: bool,
    pub(super) server_delay: Option<ServerDelay>,
}

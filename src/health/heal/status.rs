use std::time::Duration;

use super::record::Withheld;

/// The state of a healing: see [`HealingHandle::status`](super::HealingHandle::status).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct HealingStatus {
    /// Whether the condition held in the last round, whether or not for long enough.
    pub called_for: bool,
    /// Whether the action runs or is being verified.
    pub running: bool,
    /// Whether an operator paused it.
    pub paused: bool,
    /// Number of actions that began within the last 3,600 seconds.
    pub begun_in_the_last_hour: u32,
    /// Time until the backoff is over and the limit per hour allows an action.
    #[serde(with = "crate::base::duration")]
    pub may_begin_in: Duration,
    /// Number of actions in a row that did not help. [`HealingSettings::well_after`](super::HealingSettings::well_after)
    /// resets it.
    pub not_helped_in_a_row: u32,
    /// Whether it was escalated. [`HealingSettings::well_after`](super::HealingSettings::well_after) resets it.
    pub escalated: bool,
    /// Why it did not start when its condition held last.
    pub withheld: Option<Withheld>,
}

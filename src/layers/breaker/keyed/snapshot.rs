//! The counts of a keyed breaker.

use std::sync::Arc;

use serde::Serialize;

use crate::layers::breaker::snapshot::Totals;

/// A keyed breaker at one moment: see [`KeyedBreaker::snapshot`](super::KeyedBreaker::snapshot).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KeyedSnapshot {
    /// The breaker's name.
    pub name: Arc<str>,
    /// Keys that have a circuit.
    pub circuits: u64,
    /// The maximum number of keys with a circuit.
    pub max_keys: u32,
    /// Circuits by state.
    pub states: States,
    /// Circuits that are open or half-open because of failures.
    pub ejected: u64,
    /// The maximum number of ejected circuits, for the current number of circuits.
    pub max_ejected: u64,
    /// Circuits that would be open if [`KeyedSettings::max_ejected`](super::KeyedSettings::max_ejected) allowed it.
    pub kept_closed: u64,
    /// Circuits that were evicted for other keys.
    pub evicted: u64,
    /// All admitted calls since the breaker was made, by outcome, including those of evicted circuits.
    pub totals: Totals,
    /// Changes of state since the breaker was made.
    pub transitions: u64,
}

/// Circuits by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct States {
    /// Calls pass and are counted.
    pub closed: u64,
    /// Calls are refused until the end of the wait.
    pub open: u64,
    /// A few probes pass and decide.
    pub half_open: u64,
    /// Calls are refused until an operator changes it.
    pub forced_open: u64,
    /// Calls pass; the window does not change.
    pub disabled: u64,
    /// Calls pass and are counted; the circuit never opens.
    pub metrics_only: u64,
}

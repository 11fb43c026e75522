//! What a keyed breaker looks like from outside.

use std::sync::Arc;

use serde::Serialize;

use crate::breaker::snapshot::Totals;

/// A keyed breaker at one moment: see [`KeyedBreaker::snapshot`](super::KeyedBreaker::snapshot).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KeyedSnapshot {
    /// The breaker's name.
    pub name: Arc<str>,
    /// Keys that have a circuit.
    pub circuits: u64,
    /// The most keys that can have one.
    pub max_keys: u32,
    /// Circuits by state.
    pub states: States,
    /// Circuits that are open or half-open because their calls failed.
    pub ejected: u64,
    /// The most circuits that may be ejected at once, given their number now.
    pub max_ejected: u64,
    /// Circuits that would be open, were not as many others open as may be.
    pub kept_closed: u64,
    /// Circuits that were given up for those of other keys.
    pub evicted: u64,
    /// All calls let through since the breaker was made, by how they ended, those of evicted circuits among them.
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
    /// Calls are refused until the wait is over.
    pub open: u64,
    /// A few probes pass and decide.
    pub half_open: u64,
    /// Calls are refused until somebody changes it.
    pub forced_open: u64,
    /// Calls pass; the window is left alone.
    pub disabled: u64,
    /// Calls pass and are counted; nothing opens the circuit.
    pub metrics_only: u64,
}

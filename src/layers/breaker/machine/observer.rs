//! The observer of a circuit's changes of state.

use std::time::SystemTime;

use crate::layers::breaker::snapshot::CircuitState;
use crate::layers::breaker::transition::Cause;

/// The change from one state into another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::layers::breaker) struct Change {
    pub(in crate::layers::breaker) from: CircuitState,
    pub(in crate::layers::breaker) to: CircuitState,
    pub(in crate::layers::breaker) cause: Cause,
    /// The new epoch.
    pub(in crate::layers::breaker) epoch: u64,
    pub(in crate::layers::breaker) at: SystemTime,
}

/// Is notified of changes, outside the lock.
pub(in crate::layers::breaker) trait Observer {
    /// The state changed. Called by one thread at a time, in order.
    fn changed(&self, change: Change);

    /// A caller that was refused may be admitted now.
    fn freed(&self);
}

use std::sync::Arc;

use crate::health::check::Checks;
use crate::health::snapshot::HealthSnapshot;

/// The parts of a `Health` that its healings need.
pub(in crate::health) trait HealContext: Send + Sync {
    /// Whether the process drains.
    fn is_draining(&self) -> bool;

    /// Takes a snapshot now.
    fn take_snapshot(&self) -> Arc<HealthSnapshot>;

    /// Discards the cached snapshot, since something has changed.
    fn discard_cached(&self);

    fn checks(&self) -> Arc<Checks>;
}

//! The handle: cheap to clone, shared by all layers made from it.

use std::sync::Arc;

use super::meter::Meter;
use super::snapshot::TimingSnapshot;
use crate::signal;

/// Times calls; see the [module](crate::layers::timing). Clones share their counts.
#[derive(Clone, Debug)]
pub struct Timing {
    pub(super) meter: Arc<Meter>,
}

impl Timing {
    /// Makes a handle. `name` is the `operation` of its metrics.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let meter = Arc::new(Meter::new(name.into()));
        signal::register(&meter);
        Self { meter }
    }

    /// The handle's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.meter.name()
    }

    /// Returns the current counts and percentiles.
    #[must_use]
    pub fn snapshot(&self) -> TimingSnapshot {
        self.meter.snapshot()
    }
}

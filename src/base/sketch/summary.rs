//! The values of a sketch in snapshots.

use std::time::Duration;

use super::durations::Sketch;

/// The values of a sketch at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) mean: Duration,
    pub(crate) min: Duration,
    pub(crate) max: Duration,
    pub(crate) p50: Duration,
    pub(crate) p95: Duration,
    pub(crate) p99: Duration,
}

impl From<&Sketch> for Summary {
    fn from(sketch: &Sketch) -> Self {
        let at = |share| sketch.quantile(share).unwrap_or_default();
        Self {
            count: sketch.count(),
            mean: sketch.mean(),
            min: sketch.min(),
            max: sketch.max(),
            p50: at(0.50),
            p95: at(0.95),
            p99: at(0.99),
        }
    }
}

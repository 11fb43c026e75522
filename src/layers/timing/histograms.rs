//! The histograms and gauges of one handle.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "http")]
use super::recorders::Recorders;
use crate::base::outcome::{FailureKind, Outcome};
use crate::signal::{self, DurationRecorder};

/// Shared by all shards of a handle. The end of a call reads it and does not write to it.
#[derive(Debug)]
pub(super) struct Histograms {
    pub(super) name: Arc<str>,
    /// The histograms of plain calls: successes, then failures by kind.
    plain: [DurationRecorder; FailureKind::ALL.len() + 1],
    #[cfg(feature = "http")]
    pub(super) recorders: Recorders,
}

impl Histograms {
    pub(super) fn new(name: Arc<str>) -> Self {
        let operation = || ("operation", Cow::Owned(name.to_string()));
        let plain = std::array::from_fn(|place| match place.checked_sub(1) {
            None => DurationRecorder::new(&signal::TIMING_DURATION, [operation()]),
            Some(kind) => DurationRecorder::new(
                &signal::TIMING_DURATION,
                [operation(), ("error.type", Cow::Borrowed(FailureKind::ALL[kind].as_str()))],
            ),
        });
        Self {
            plain,
            #[cfg(feature = "http")]
            recorders: Recorders::default(),
            name,
        }
    }

    /// Records the duration of a plain call, in nanoseconds.
    #[inline]
    pub(super) fn record_plain(&self, elapsed: u64, outcome: Outcome) {
        let place = outcome.failure().map_or(0, |kind| kind.index() + 1);
        self.plain[place].record(Duration::from_nanos(elapsed));
    }
}

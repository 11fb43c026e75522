//! One running call.

use std::fmt;
use std::sync::Arc;

use super::handle::Meter;
use super::lane::Lane;
use crate::base::clock::{self, Tick};
use crate::base::outcome::{FailureKind, Outcome, Settle, is_for_time};

/// A running plain call. If it is dropped before its end, it counts as cancelled, as a time-out or as a panic.
pub struct Stopwatch {
    /// None once the call is counted.
    lane: Option<Arc<Lane>>,
    began: Began,
}

/// The start of a call, and whether its code runs; in one word, which is cheaper to move than two fields with a gap.
#[derive(Clone, Copy)]
pub(super) struct Began(u64);

impl Began {
    /// Not started.
    const RUNNING: u64 = 1 << 63;

    /// The time now; the call's own code runs.
    #[inline]
    pub(super) fn now() -> Self {
        Self(clock::now().0 | Self::RUNNING)
    }

    #[inline]
    pub(super) fn set_running(&mut self, running: bool) {
        self.0 = self.at().0 | if running { Self::RUNNING } else { 0 };
    }

    #[inline]
    pub(super) fn at(self) -> Tick {
        Tick(self.0 & !Self::RUNNING)
    }

    /// The outcome of a dropped call.
    pub(super) fn abandoned(self) -> Outcome {
        let running = self.0 & Self::RUNNING != 0;
        Outcome::Failure(if running {
            FailureKind::Panic
        } else if is_for_time() {
            FailureKind::Timeout
        } else {
            FailureKind::Cancelled
        })
    }
}

impl Stopwatch {
    #[inline(always)]
    pub(super) fn start(meter: &Meter) -> Self {
        let (lane, began) = begin(meter);
        Self { lane: Some(lane), began }
    }
}

/// Returned in registers. Written to memory and moved at once, it would cost a store-forwarding stall.
#[inline(never)]
fn begin(meter: &Meter) -> (Arc<Lane>, Began) {
    (Arc::clone(meter.lane()), Began::now())
}

impl Settle for Stopwatch {
    #[inline]
    fn settle(&mut self, outcome: Outcome) {
        if let Some(lane) = self.lane.take() {
            let elapsed = lane.end(self.began.at(), outcome);
            lane.shared.record_plain(elapsed, outcome);
        }
    }

    #[inline]
    fn in_user_code(&mut self, running: bool) {
        self.began.set_running(running);
    }
}

impl Drop for Stopwatch {
    #[inline]
    fn drop(&mut self) {
        if self.lane.is_some() {
            self.abandon();
        }
    }
}

impl Stopwatch {
    #[cold]
    fn abandon(&mut self) {
        self.settle(self.began.abandoned());
    }
}

impl fmt::Debug for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopwatch").field("began", &self.began.at()).finish_non_exhaustive()
    }
}

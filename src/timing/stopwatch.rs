//! One running call.

use std::fmt;
use std::sync::Arc;

use super::handle::Meter;
use super::lane::Lane;
use crate::clock::{self, Tick};
use crate::outcome::{FailureKind, Outcome, Settle, is_for_time};

/// A plain call under way. Dropped before its end it counts as cancelled, as a time-out or as a panic.
pub struct Stopwatch {
    /// None once the call is counted.
    lane: Option<Arc<Lane>>,
    began: Began,
}

/// When a call began, and whether its code runs. In one word: a flag beside the time would leave a gap, and to move
/// the two with it costs more than to write them.
#[derive(Clone, Copy)]
pub(super) struct Began(u64);

impl Began {
    /// No clock counts so far.
    const RUNNING: u64 = 1 << 63;

    /// Now, in the call's own code.
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

    /// What a call has come to that was dropped.
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

/// In registers, and the rest of a call's beginning in line: a future that was written to memory word by word and is
/// moved at once by wider ones has to wait for the words.
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

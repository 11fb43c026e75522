//! The timing of one plain call.

use std::fmt;
use std::sync::Arc;

use super::meter::Meter;
use super::shard::Shard;
use crate::base::clock::{self, Tick};
use crate::base::outcome::{FailureKind, Outcome, Settle, is_timing_out};

/// The timing of a plain call. A call that is dropped before its end counts as cancelled, as a timeout or as a panic.
pub struct Stopwatch {
    /// None once the call is counted.
    shard: Option<Arc<Shard>>,
    began: CallStart,
}

/// The start of a call, and whether its code runs. One word is cheaper to move than two fields with padding.
#[derive(Clone, Copy)]
pub(super) struct CallStart(u64);

impl CallStart {
    /// The bit for running code.
    const RUNNING: u64 = 1 << 63;

    /// A call that starts now. Its code runs.
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
        } else if is_timing_out() {
            FailureKind::Timeout
        } else {
            FailureKind::Cancelled
        })
    }
}

impl Stopwatch {
    #[inline(always)]
    pub(super) fn start(meter: &Meter) -> Self {
        let (shard, began) = begin(meter);
        Self { shard: Some(shard), began }
    }
}

/// Not inlined, so that the result is returned in registers. Writing it to memory and moving it at once would cost a
/// store-forwarding stall.
#[inline(never)]
fn begin(meter: &Meter) -> (Arc<Shard>, CallStart) {
    (Arc::clone(meter.shard()), CallStart::now())
}

impl Settle for Stopwatch {
    #[inline]
    fn settle(&mut self, outcome: Outcome) {
        if let Some(shard) = self.shard.take() {
            let elapsed = shard.end(self.began.at(), outcome);
            shard.histograms.record_plain(elapsed, outcome);
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
        if self.shard.is_some() {
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

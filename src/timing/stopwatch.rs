//! One running call.

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "http")]
use std::time::Duration;

use super::handle::Meter;
use super::lane::Lane;
#[cfg(feature = "http")]
use super::recorders::{Call, Side};
use crate::clock::{self, Tick};
#[cfg(feature = "http")]
use crate::outcome::StreamEnd;
use crate::outcome::{FailureKind, Outcome, Settle};

/// A plain call under way. Dropped before its end it counts as cancelled, or as a panic.
pub struct Stopwatch {
    /// None once the call is counted.
    lane: Option<Arc<Lane>>,
    started: Tick,
    running: bool,
}

impl Stopwatch {
    #[inline]
    pub(super) fn start(meter: &Meter) -> Self {
        let lane = Some(Arc::clone(meter.lane()));
        Self { lane, started: clock::now(), running: true }
    }
}

impl Settle for Stopwatch {
    #[inline]
    fn settle(&mut self, outcome: Outcome) {
        if let Some(lane) = self.lane.take() {
            let elapsed = lane.end(self.started, outcome);
            lane.shared.record_plain(elapsed, outcome);
        }
    }

    #[inline]
    fn in_user_code(&mut self, running: bool) {
        self.running = running;
    }
}

impl Drop for Stopwatch {
    #[inline]
    fn drop(&mut self) {
        if let Some(lane) = self.lane.take() {
            abandon(lane, self.started, self.running);
        }
    }
}

#[cold]
fn abandon(lane: Arc<Lane>, started: Tick, running: bool) {
    let outcome = abandoned(running);
    let elapsed = lane.end(started, outcome);
    lane.shared.record_plain(elapsed, outcome);
}

fn abandoned(running: bool) -> Outcome {
    Outcome::Failure(if running { FailureKind::Panic } else { FailureKind::Cancelled })
}

impl fmt::Debug for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopwatch").field("started", &self.started).finish_non_exhaustive()
    }
}

/// A call over HTTP or gRPC under way, timed to the end of its response.
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub struct Exchange {
    lane: Arc<Lane>,
    started: Tick,
    running: bool,
    settled: bool,
    call: Call,
}

#[cfg(feature = "http")]
impl Exchange {
    pub(super) fn start(meter: &Meter, call: Call) -> Self {
        let lane = Arc::clone(meter.lane());
        if call.side == Side::HttpServer {
            lane.shared.recorders.entered(&call);
        }
        Self { lane, started: clock::now(), running: true, settled: false, call }
    }

    fn finish(&mut self, outcome: Outcome) {
        self.settled = true;
        let elapsed = Duration::from_nanos(self.lane.end(self.started, outcome));
        let recorders = &self.lane.shared.recorders;
        if self.call.side == Side::HttpServer {
            recorders.left(&self.call);
        }
        recorders.record(&self.call, outcome, elapsed);
    }
}

#[cfg(feature = "http")]
impl Settle for Exchange {
    fn settle(&mut self, outcome: Outcome) {
        self.finish(outcome);
    }

    fn in_user_code(&mut self, running: bool) {
        self.running = running;
    }

    fn head(&mut self, head: &http::response::Parts) {
        self.call.head(head);
    }

    fn end(&mut self, end: StreamEnd<'_>) {
        if let StreamEnd::Complete(Some(trailers)) = end {
            self.call.trailers(trailers);
        }
    }
}

#[cfg(feature = "http")]
impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.settled {
            self.finish(abandoned(self.running));
        }
    }
}

#[cfg(feature = "http")]
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("started", &self.started)
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}

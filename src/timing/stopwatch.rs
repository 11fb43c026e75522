//! One running call.

use std::fmt;
use std::sync::Arc;

use super::handle::Meter;
#[cfg(feature = "http")]
use super::recorders::{Call, Side};
use crate::clock::Tick;
#[cfg(feature = "http")]
use crate::outcome::StreamEnd;
use crate::outcome::{FailureKind, Outcome, Settle};

/// A plain call under way. Dropped before its end it counts as cancelled, or as a panic.
pub struct Stopwatch {
    meter: Arc<Meter>,
    started: Tick,
    running: bool,
    settled: bool,
}

impl Stopwatch {
    pub(super) fn start(meter: &Arc<Meter>) -> Self {
        Self { meter: Arc::clone(meter), started: meter.start(), running: true, settled: false }
    }
}

impl Settle for Stopwatch {
    #[inline]
    fn settle(&mut self, outcome: Outcome) {
        self.settled = true;
        let elapsed = self.meter.end(self.started, outcome);
        self.meter.record_plain(elapsed, outcome);
    }

    #[inline]
    fn in_user_code(&mut self, running: bool) {
        self.running = running;
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        if !self.settled {
            let outcome = abandoned(self.running);
            let elapsed = self.meter.end(self.started, outcome);
            self.meter.record_plain(elapsed, outcome);
        }
    }
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
    meter: Arc<Meter>,
    started: Tick,
    running: bool,
    settled: bool,
    call: Call,
}

#[cfg(feature = "http")]
impl Exchange {
    pub(super) fn start(meter: &Arc<Meter>, call: Call) -> Self {
        if call.side == Side::HttpServer {
            meter.recorders.entered(&call);
        }
        Self { meter: Arc::clone(meter), started: meter.start(), running: true, settled: false, call }
    }

    fn finish(&mut self, outcome: Outcome) {
        self.settled = true;
        let elapsed = self.meter.end(self.started, outcome);
        if self.call.side == Side::HttpServer {
            self.meter.recorders.left(&self.call);
        }
        self.meter.recorders.record(&self.call, outcome, elapsed);
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

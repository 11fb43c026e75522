//! The timing of one call over HTTP or gRPC.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::response::Parts;

use super::call::Call;
use super::meter::Meter;
use super::recorders::Requests;
use super::server_timing::ServerTiming;
use super::shard::Shard;
use super::stopwatch::CallStart;
use crate::base::clock;
use crate::base::outcome::{Outcome, Settle};
use crate::signal::{self, SampledSpan};

/// A stream has stalled if it sends nothing for this long while its reader waits.
const STALL: Duration = Duration::from_secs(1);

/// The timing of a call over HTTP or gRPC, to the end of its response.
pub struct Exchange {
    /// None once the call is counted.
    shard: Option<Arc<Shard>>,
    began: CallStart,
    call: Call,
    /// The gauge of active requests in which it is counted.
    active: Option<Arc<Requests>>,
    server_timing: Option<ServerTiming>,
    /// The span in which it was called, if its trace is sampled.
    span: Option<SampledSpan>,
}

impl Exchange {
    pub(super) fn start(meter: &Meter, call: Call, server_timing: Option<ServerTiming>) -> Self {
        let shard = Arc::clone(meter.shard());
        let active = shard.histograms.recorders.enter(&call);
        let span = signal::sampled_span();
        Self { shard: Some(shard), began: CallStart::now(), call, active, server_timing, span }
    }
}

impl Settle for Exchange {
    fn settle(&mut self, outcome: Outcome) {
        if let Some(shard) = self.shard.take() {
            let elapsed = Duration::from_nanos(shard.end(self.began.at(), outcome));
            let recorders = &shard.histograms.recorders;
            recorders.leave(&self.call, self.active.as_deref());
            recorders.record(&self.call, outcome, elapsed, self.span);
        }
    }

    fn in_user_code(&mut self, running: bool) {
        self.began.set_running(running);
    }

    fn head(&mut self, head: &mut Parts) {
        self.call.head(head);
        if let Some(server_timing) = &self.server_timing {
            server_timing.append(clock::now().since(self.began.at()), &mut head.headers);
        }
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        if let Some(trailers) = trailers {
            self.call.trailers(trailers);
        }
    }

    fn stall_limit(&self) -> Option<Duration> {
        Some(STALL)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.shard.is_some() {
            self.settle(self.began.abandoned());
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("began", &self.began.at())
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}

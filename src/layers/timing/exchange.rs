//! One running exchange.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::response::Parts;

use super::call::Call;
use super::handle::Meter;
use super::lane::Lane;
use super::recorders::Requests;
use super::server_timing::ServerTiming;
use super::stopwatch::Began;
use crate::base::clock;
use crate::base::outcome::{Outcome, Settle};
use crate::signal::{self, SampledSpan};

/// A stream has stalled if it sends nothing for this long while its reader waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// A running call over HTTP or gRPC, timed to the end of its response.
pub struct Exchange {
    /// None once the call is counted.
    lane: Option<Arc<Lane>>,
    began: Began,
    call: Call,
    /// The gauge of active requests that counts it.
    entered: Option<Arc<Requests>>,
    tells: Option<ServerTiming>,
    /// The span in which it was called, if its trace is sampled.
    span: Option<SampledSpan>,
}

impl Exchange {
    pub(super) fn start(meter: &Meter, call: Call, tells: Option<ServerTiming>) -> Self {
        let lane = Arc::clone(meter.lane());
        let entered = lane.shared.recorders.enter(&call);
        Self { lane: Some(lane), began: Began::now(), call, entered, tells, span: signal::sampled_span() }
    }
}

impl Settle for Exchange {
    fn settle(&mut self, outcome: Outcome) {
        if let Some(lane) = self.lane.take() {
            let elapsed = Duration::from_nanos(lane.end(self.began.at(), outcome));
            let recorders = &lane.shared.recorders;
            recorders.leave(&self.call, self.entered.as_deref());
            recorders.record(&self.call, outcome, elapsed, self.span);
        }
    }

    fn in_user_code(&mut self, running: bool) {
        self.began.set_running(running);
    }

    fn head(&mut self, head: &mut Parts) {
        self.call.head(head);
        if let Some(tells) = &self.tells {
            tells.append(clock::now().since(self.began.at()), &mut head.headers);
        }
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        if let Some(trailers) = trailers {
            self.call.trailers(trailers);
        }
    }

    fn stall_limit(&self) -> Option<Duration> {
        Some(PATIENCE)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.lane.is_some() {
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

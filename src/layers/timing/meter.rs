//! The counts of one handle: one shard of counters for each group of threads.

use std::sync::Arc;
use std::time::Duration;

use super::histograms::Histograms;
use super::minute::WINDOW_SECONDS;
use super::shard::{Shard, ShardTotals};
use super::snapshot::TimingSnapshot;
use crate::base::clock::{self, Tick};
use crate::base::per_thread::PerThread;
use crate::signal::{self, Emit, HandleKind, Place, Source, UnreadStatus};

/// How warnings and metrics name a timing.
const KIND: HandleKind = HandleKind {
    layer: "timing",
    kind: "timing",
    http_layer: "`.http_server_layer()` or `.http_client_layer()`",
};

/// The counts of all layers of one handle.
#[derive(Debug)]
pub(super) struct Meter {
    began: Tick,
    shards: PerThread<Arc<Shard>>,
    pub(super) histograms: Arc<Histograms>,
    unread: UnreadStatus,
}

impl Meter {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            began: clock::now(),
            shards: PerThread::new(),
            histograms: Arc::new(Histograms::new(name)),
            unread: UnreadStatus::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.histograms.name
    }

    /// Counts a call whose response is a `Res`, if that has a status that the default classifier does not read.
    #[inline(always)]
    pub(super) fn see<Res>(&self) {
        self.unread.see::<Res>(&KIND, self.name(), Place::Layer);
    }

    /// The shard of a call that starts on this thread.
    #[inline]
    pub(super) fn shard(&self) -> &Arc<Shard> {
        self.shards.own(|| Shard::new(&self.histograms))
    }

    pub(super) fn snapshot(&self) -> TimingSnapshot {
        let now = clock::now();
        let mut totals = ShardTotals::default();
        self.shards.iter().for_each(|shard| shard.add_to(now, &mut totals));
        let seconds = now.since(self.began).min(Duration::from_secs(WINDOW_SECONDS)).as_secs_f64();
        TimingSnapshot::new(Arc::clone(&self.histograms.name), seconds, totals)
    }
}

impl Source for Meter {
    fn observe(&self, emit: &mut Emit<'_>) {
        #[cfg(feature = "http")]
        self.histograms.recorders.observe(emit);
        self.unread.emit(&KIND, self.name(), emit);
        let mut shards = self.shards.iter().peekable();
        if shards.peek().is_some() {
            let in_flight: u64 = shards.map(Shard::in_flight).sum();
            #[allow(clippy::cast_precision_loss)] // Calls in flight stay far below 2^52.
            emit(&signal::TIMING_ACTIVE, in_flight as f64, &[("operation", self.name())]);
        }
    }
}

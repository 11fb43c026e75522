use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::handle::Health;
use crate::base::clock;
use crate::signal::{CachedVital, Vitals};

/// Counts calls of one component that have no span; made by [`Health::recorder`].
///
/// Cheap to clone and to use: it does not allocate, and other components, and usually other threads, never wait for its
/// lock.
///
/// # Example
/// ```
/// use campanile::Health;
/// use tokio::time::Instant;
///
/// let health = Health::standalone();
/// let payments = health.recorder("payments");
///
/// let started = Instant::now();
/// let outcome: Result<(), &str> = Ok(()); // the result of the call
/// payments.record_since(started, outcome.is_err());
///
/// let calls = health.snapshot().component("payments").and_then(|payments| payments.calls.clone());
/// assert_eq!(calls.map(|calls| (calls.total, calls.failed)), Some((1, 0)));
/// ```
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    vitals: Arc<Vitals>,
    component: Arc<str>,
    vital: CachedVital,
}

impl Health {
    /// A recorder of calls of `component` that have no span. Calls with a span are counted without it.
    ///
    /// The counts of a component without a call for an hour are dropped. The next call starts new counts.
    #[must_use]
    pub fn recorder(&self, component: impl Into<Arc<str>>) -> Recorder {
        let vitals = Arc::clone(&self.inner.vitals);
        Recorder {
            shared: Arc::new(Shared { vitals, component: component.into(), vital: CachedVital::default() }),
        }
    }
}

impl Recorder {
    /// Counts a call that ended now and took `duration`.
    #[inline]
    pub fn record(&self, duration: Duration, failed: bool) {
        let Shared { vitals, component, vital } = &*self.shared;
        vital.record(vitals, component, clock::now(), duration, failed);
    }

    /// Counts a call that began at `started` and ended now. Reads the clock once; [`record`](Self::record) needs a second
    /// reading.
    #[inline]
    pub fn record_since(&self, started: Instant, failed: bool) {
        let Shared { vitals, component, vital } = &*self.shared;
        let now = clock::now();
        vital.record(vitals, component, now, now.since(clock::at(started)), failed);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("component", &self.shared.component).finish_non_exhaustive()
    }
}

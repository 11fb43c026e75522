//! Calls that have no span.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Health;
use crate::base::clock;
use crate::signal::{CachedVital, Vitals};

/// Tells health of the calls of one component, where no span does; made by [`Health::recorder`].
///
/// It is cheap to clone, and to use: no allocation, and no lock that another component or, as a rule, another thread
/// would wait for.
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
/// let outcome: Result<(), &str> = Ok(()); // whatever the call gives
/// payments.record_since(started, outcome.is_err());
///
/// let calls = health.snapshot().component("payments").and_then(|payments| payments.calls.clone());
/// assert_eq!(calls.map(|calls| (calls.total, calls.failed)), Some((1, 0)));
/// ```
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    vitals: Arc<Vitals>,
    component: Arc<str>,
    vital: CachedVital,
}

impl Health {
    /// Counts calls for `component` that have no span: those with one are counted already.
    ///
    /// A component that nobody calls for an hour is forgotten, and known again with its next call.
    #[must_use]
    pub fn recorder(&self, component: impl Into<Arc<str>>) -> Recorder {
        let vitals = Arc::clone(self.vitals());
        Recorder {
            inner: Arc::new(Inner { vitals, component: component.into(), vital: CachedVital::default() }),
        }
    }
}

impl Recorder {
    /// Counts a call that ended just now and took so long.
    #[inline]
    pub fn record(&self, duration: Duration, failed: bool) {
        let Inner { vitals, component, vital } = &*self.inner;
        vital.record(vitals, component, clock::now(), duration, failed);
    }

    /// Counts a call that began at `started` and ended just now: with one reading of the clock, where measuring first
    /// and then calling [`record`](Self::record) takes two.
    #[inline]
    pub fn record_since(&self, started: Instant, failed: bool) {
        let Inner { vitals, component, vital } = &*self.inner;
        let now = clock::now();
        vital.record(vitals, component, now, now.since(clock::at(started)), failed);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("component", &self.inner.component).finish_non_exhaustive()
    }
}

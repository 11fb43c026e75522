//! The vital signs of components: how often they are called, how they fail, how long they take.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use crate::clock::{self, Tick};
use crate::sketch::{Sketch, Summary};
use crate::sync::Mutex;
use crate::window::{Buckets, Counts, Sample};

/// The time that rates and shares look back.
pub(crate) const LOOK_BACK: Duration = Duration::from_secs(60);

/// The components of one pipeline, at most [`Vitals::CAPACITY`] of them.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    components: RwLock<BTreeMap<Arc<str>, Arc<Vital>>>,
}

impl Vitals {
    /// More components than this share the last one, called `other`.
    pub(crate) const CAPACITY: usize = 1_000;

    /// The vital signs of the component called `name`.
    pub(crate) fn component(&self, name: &str) -> Arc<Vital> {
        if let Some(vital) = self.read().get(name) {
            return Arc::clone(vital);
        }
        let mut components = self.components.write().unwrap_or_else(PoisonError::into_inner);
        let name = if components.len() >= Self::CAPACITY { "other" } else { name };
        Arc::clone(components.entry(name.into()).or_default())
    }

    /// Every component with its vital signs, by name.
    pub(crate) fn readings(&self) -> Vec<(Arc<str>, VitalReading)> {
        self.read().iter().map(|(name, vital)| (Arc::clone(name), vital.reading())).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Arc<str>, Arc<Vital>>> {
        self.components.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The vital signs of one component.
#[derive(Debug)]
pub(crate) struct Vital {
    recent: Mutex<Recent>,
    durations: Sketch,
}

#[derive(Debug)]
struct Recent {
    counts: Buckets,
    consecutive_failures: u64,
    calls: u64,
    failures: u64,
}

/// The vital signs of one component at one moment.
#[derive(Clone, Debug)]
pub(crate) struct VitalReading {
    /// Calls and failures of the last [`LOOK_BACK`].
    pub(crate) recent: Counts,
    /// Failures since the last success.
    pub(crate) consecutive_failures: u64,
    /// Calls since the start.
    pub(crate) calls: u64,
    /// Failures since the start.
    pub(crate) failures: u64,
    /// Durations since the start.
    pub(crate) durations: Summary,
}

impl Default for Vital {
    fn default() -> Self {
        Self {
            recent: Mutex::new(Recent {
                counts: Buckets::new(LOOK_BACK),
                consecutive_failures: 0,
                calls: 0,
                failures: 0,
            }),
            durations: Sketch::default(),
        }
    }
}

impl Vital {
    /// Takes in one call that ended at `now`.
    pub(crate) fn record(&self, now: Tick, duration: Duration, failed: bool) {
        self.durations.record(duration);
        let mut recent = self.recent.lock();
        recent.counts.record(now, Sample { failed, slow: false });
        recent.calls += 1;
        if failed {
            recent.failures += 1;
            recent.consecutive_failures += 1;
        } else {
            recent.consecutive_failures = 0;
        }
    }

    pub(crate) fn reading(&self) -> VitalReading {
        let durations = self.durations.summary();
        let mut recent = self.recent.lock();
        VitalReading {
            recent: recent.counts.counts(clock::now()),
            consecutive_failures: recent.consecutive_failures,
            calls: recent.calls,
            failures: recent.failures,
            durations,
        }
    }
}

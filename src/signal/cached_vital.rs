//! A cached reference to the vital signs of a component.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::vitals::{Vital, Vitals};
use crate::base::clock::Tick;
use crate::base::sync::Mutex;

/// The vital signs of a component, looked up once.
#[derive(Debug, Default)]
pub(crate) struct CachedVital {
    /// Looked up at the first call.
    first: OnceLock<Arc<Vital>>,
    /// Looked up again after `first` has expired.
    later: Mutex<Option<Arc<Vital>>>,
}

impl CachedVital {
    /// Counts one call of `component` that ended at `now`.
    #[inline]
    pub(crate) fn record(
        &self,
        vitals: &Vitals,
        component: &str,
        now: Tick,
        duration: Duration,
        failed: bool,
    ) {
        if !self.first.get_or_init(|| vitals.component(component)).record(now, duration, failed) {
            self.record_later(vitals, component, now, duration, failed);
        }
    }

    #[cold]
    fn record_later(&self, vitals: &Vitals, component: &str, now: Tick, duration: Duration, failed: bool) {
        let known = self.later.lock().clone();
        if known.is_some_and(|vital| vital.record(now, duration, failed)) {
            return;
        }
        let vital = vitals.component(component);
        vital.record(now, duration, failed);
        *self.later.lock() = Some(vital);
    }
}

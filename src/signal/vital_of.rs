//! Who counts for a component.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::vitals::{Vital, Vitals};
use crate::clock::Tick;
use crate::sync::Mutex;

/// The vital signs that somebody counts for, under a name that stays the same.
#[derive(Debug, Default)]
pub(crate) struct VitalOf {
    /// Found with the first call.
    first: OnceLock<Arc<Vital>>,
    /// After that one expired.
    later: Mutex<Option<Arc<Vital>>>,
}

impl VitalOf {
    /// Takes in one call of `component` that ended at `now`.
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

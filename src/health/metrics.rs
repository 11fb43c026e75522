//! Health as metrics.

use std::sync::{Arc, Weak};

use super::inner::Inner;
use super::status::Status;
use crate::base::sync::Mutex;
use crate::signal::{
    self, Emit, HEALTH_ANOMALY, HEALTH_READY, HEALTH_RISK, HEALTH_SCORE, HEALTH_STATUS, Source,
};

/// The health that exports whether this process is ready: one for each process, however many pipelines it has.
static REPORTS_READINESS: Mutex<Weak<Inner>> = Mutex::new(Weak::new());

/// Exports `inner` as metrics, with the readiness of this process unless another health exports that.
pub(super) fn export(inner: &Arc<Inner>) {
    signal::register(inner);
    let mut reporter = REPORTS_READINESS.lock();
    if reporter.strong_count() == 0 {
        *reporter = Arc::downgrade(inner);
    }
}

impl Source for Inner {
    fn observe(&self, emit: &mut Emit<'_>) {
        for component in &self.recent().components {
            let name = ("component", &*component.name);
            // The score of an unknown component is 1, which would look healthy.
            if component.status != Status::Unknown {
                emit(&HEALTH_SCORE, component.score, &[name]);
            }
            for status in Status::ALL {
                let has = f64::from(u8::from(status == component.status));
                emit(&HEALTH_STATUS, has, &[name, ("status", status.as_str())]);
            }
            if let Some(outlook) = component.outlook.as_deref() {
                if outlook.learning.is_none() {
                    emit(&HEALTH_RISK, outlook.risk, &[name]);
                }
                for anomaly in &outlook.anomalies {
                    emit(&HEALTH_ANOMALY, anomaly.z, &[name, ("sign", anomaly.sign.as_str())]);
                }
            }
        }
        let reports_readiness = std::ptr::eq(REPORTS_READINESS.lock().as_ptr(), self);
        if reports_readiness {
            emit(&HEALTH_READY, f64::from(u8::from(self.is_ready())), &[]);
        }
        #[cfg(feature = "checks")]
        self.checks.observe(emit);
        #[cfg(feature = "heal")]
        self.healers.observe(emit);
    }
}

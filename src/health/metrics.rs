//! Health as metrics.

use std::sync::{Arc, Weak};

use super::handle::Inner;
use super::status::Status;
use crate::base::sync::Mutex;
use crate::signal::{Emit, HEALTH_ANOMALY, HEALTH_READY, HEALTH_RISK, HEALTH_SCORE, HEALTH_STATUS, Source};

/// Who says whether this process is ready: a process has one answer to that, however many pipelines it has.
static SPEAKER: Mutex<Weak<Inner>> = Mutex::new(Weak::new());

/// Makes `inner` say whether this process is ready, if nobody else does.
pub(super) fn speak(inner: &Arc<Inner>) {
    let mut speaker = SPEAKER.lock();
    if speaker.strong_count() == 0 {
        *speaker = Arc::downgrade(inner);
    }
}

impl Source for Inner {
    fn observe(&self, emit: &mut Emit<'_>) {
        for component in &self.recent().components {
            let name = ("component", &*component.name);
            // Full points for a component of which nothing is known would look like health.
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
        let speaks = std::ptr::eq(SPEAKER.lock().as_ptr(), self);
        if speaks {
            emit(&HEALTH_READY, f64::from(u8::from(self.is_ready())), &[]);
        }
        #[cfg(feature = "checks")]
        self.checks.observe(emit);
        #[cfg(feature = "heal")]
        self.healers.observe(emit);
    }
}

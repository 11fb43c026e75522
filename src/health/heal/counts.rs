//! What is counted of one healing.

use std::sync::OnceLock;
use std::time::Duration;

use super::record::{HealingOutcome, Withheld};
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::signal::{DurationRecorder, Emit, HEALING_ACTIONS, HEALING_DURATION, HEALING_WITHHELD};

#[derive(Debug, Default)]
pub(super) struct Counts {
    actions: [AtomicU64; HealingOutcome::ALL.len()],
    withheld: [AtomicU64; Withheld::ALL.len()],
    took: [OnceLock<DurationRecorder>; HealingOutcome::ALL.len()],
}

impl Counts {
    pub(super) fn action(&self, component: &str, name: &str, outcome: &HealingOutcome, took: Duration) {
        let place = outcome.place();
        self.actions[place].fetch_add(1, Ordering::Relaxed);
        let recorder = self.took[place].get_or_init(|| {
            let attributes = [
                ("component", component.to_owned().into()),
                ("action", name.to_owned().into()),
                ("outcome", outcome.as_str().into()),
            ];
            DurationRecorder::new(&HEALING_DURATION, attributes)
        });
        recorder.record(took);
    }

    pub(super) fn withheld(&self, withheld: Withheld) {
        if let Some(place) = Withheld::ALL.iter().position(|each| *each == withheld) {
            self.withheld[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    #[allow(clippy::cast_precision_loss)] // Far below 2^52.
    pub(super) fn observe(&self, component: &str, name: &str, emit: &mut Emit<'_>) {
        let attributes = [("component", component), ("action", name)];
        let with = |key, value| [attributes[0], attributes[1], (key, value)];
        for (count, outcome) in self.actions.iter().zip(HealingOutcome::ALL) {
            let count = count.load(Ordering::Relaxed) as f64;
            emit(&HEALING_ACTIONS, count, &with("outcome", outcome));
        }
        for (count, reason) in self.withheld.iter().zip(Withheld::ALL) {
            let count = count.load(Ordering::Relaxed) as f64;
            emit(&HEALING_WITHHELD, count, &with("reason", reason.as_str()));
        }
    }
}

//! The metrics of one healing.

use std::sync::OnceLock;

use super::record::{HealingOutcome, HealingRecord, Withheld};
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::signal::{DurationRecorder, Emit, HEALING_ACTIONS, HEALING_DURATION, HEALING_WITHHELD};

#[derive(Debug, Default)]
pub(super) struct Counters {
    actions: [AtomicU64; HealingOutcome::ALL.len()],
    withheld: [AtomicU64; Withheld::ALL.len()],
    durations: [OnceLock<DurationRecorder>; HealingOutcome::ALL.len()],
}

impl Counters {
    pub(super) fn add_action(&self, record: &HealingRecord) {
        let index = record.outcome.index();
        self.actions[index].fetch_add(1, Ordering::Relaxed);
        let recorder = self.durations[index].get_or_init(|| {
            let attributes = [
                ("component", record.component.to_string().into()),
                ("action", record.healing.to_string().into()),
                ("outcome", record.outcome.as_str().into()),
            ];
            DurationRecorder::new(&HEALING_DURATION, attributes)
        });
        recorder.record(record.took_in_all);
    }

    pub(super) fn add_withheld(&self, withheld: Withheld) {
        if let Some(index) = Withheld::ALL.iter().position(|each| *each == withheld) {
            self.withheld[index].fetch_add(1, Ordering::Relaxed);
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

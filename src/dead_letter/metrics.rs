//! The reports of a queue: its snapshot, its metrics and its vital signs.

use std::time::{Duration, SystemTime};

use super::core::{Core, KIND};
use super::letter::Unsendable;
use super::snapshot::{DropReason, QueueSnapshot};

use crate::base::moment;
use crate::signal::{
    Emit, LETTERS_DEPTH, LETTERS_DROPPED, LETTERS_EVICTED, LETTERS_FILE_SIZE, LETTERS_LOST, LETTERS_OLDEST,
    LETTERS_PARKED, LETTERS_PURGED, LETTERS_REDRIVEN, LETTERS_SET_ASIDE, LETTERS_SIZE, LETTERS_SPILL_DEPTH,
    LETTERS_SPILLED, LETTERS_STORE_REPAIRS, LETTERS_UNSENDABLE, Sign, Source,
};
use crate::store::SpillReason;

impl Core {
    pub(super) fn snapshot(&self) -> QueueSnapshot {
        let depth = self.store.depth();
        let mut snapshot = self.count(|counts| counts.clone());
        snapshot.evicted += depth.evicted;
        snapshot.waiting = depth.waiting;
        snapshot.oldest = depth.oldest;
        snapshot.bytes = depth.bytes;
        snapshot.spilled = depth.spilled;
        snapshot.file_size = depth.file_size;
        snapshot.lost = depth.lost;
        snapshot.store_repairs = depth.repairs;
        snapshot
    }
}

fn age(oldest: Option<SystemTime>) -> Duration {
    oldest.and_then(|oldest| moment::now().duration_since(oldest).ok()).unwrap_or_default()
}

impl Source for Core {
    #[allow(clippy::cast_precision_loss)] // Counts and sizes stay far below 2^52.
    fn observe(&self, emit: &mut Emit<'_>) {
        let snapshot = self.snapshot();
        let queue = ("queue", &*self.name);
        self.unread.emit(&KIND, &self.name, emit);
        emit(&LETTERS_DEPTH, snapshot.waiting as f64, &[queue]);
        emit(&LETTERS_OLDEST, age(snapshot.oldest).as_secs_f64(), &[queue]);
        emit(&LETTERS_SIZE, snapshot.bytes as f64, &[queue]);
        if let Some(size) = snapshot.file_size {
            emit(&LETTERS_FILE_SIZE, size as f64, &[queue]);
        }
        emit(&LETTERS_PARKED, snapshot.parked as f64, &[queue]);
        emit(&LETTERS_EVICTED, snapshot.evicted as f64, &[queue, ("reason", "capacity")]);
        emit(&LETTERS_EVICTED, snapshot.expired as f64, &[queue, ("reason", "expired")]);
        emit(&LETTERS_PURGED, snapshot.purged as f64, &[queue]);
        emit(&LETTERS_REDRIVEN, snapshot.redriven as f64, &[queue, ("outcome", "success")]);
        emit(&LETTERS_REDRIVEN, snapshot.redrive_failures as f64, &[queue, ("outcome", "failure")]);
        let unsendable = snapshot.set_aside_unsendable;
        let too_often = snapshot.set_aside.saturating_sub(unsendable);
        emit(&LETTERS_SET_ASIDE, too_often as f64, &[queue, ("reason", "failures")]);
        emit(&LETTERS_SET_ASIDE, unsendable as f64, &[queue, ("reason", "unsendable")]);
        // The other reasons are unknown before a redrive.
        for reason in [Unsendable::EvidenceOnly, Unsendable::Redacted, Unsendable::Body] {
            let letters = snapshot.unsendable(reason) as f64;
            emit(&LETTERS_UNSENDABLE, letters, &[queue, ("reason", reason.as_str())]);
        }
        emit(&LETTERS_LOST, snapshot.lost as f64, &[queue]);
        emit(&LETTERS_STORE_REPAIRS, snapshot.store_repairs as f64, &[queue]);
        for reason in DropReason::ALL {
            emit(&LETTERS_DROPPED, snapshot.dropped(reason) as f64, &[queue, ("reason", reason.as_str())]);
        }
        if self.settings.spill.is_some() {
            emit(&LETTERS_SPILL_DEPTH, snapshot.spilled as f64, &[queue]);
            for reason in SpillReason::ALL {
                let spilled = snapshot.spilled_for(reason) as f64;
                emit(&LETTERS_SPILLED, spilled, &[queue, ("reason", reason.as_str())]);
            }
        }
    }

    fn signs(&self, emit: &mut dyn FnMut(&str, Sign)) {
        let depth = self.store.depth();
        let waiting = depth.waiting + depth.spilled;
        emit(&self.component, Sign::Letters { waiting, oldest: age(depth.oldest) });
    }
}

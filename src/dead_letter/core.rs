//! What the handle and its layers share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::redact::LetterRedactor;
use super::redrive::Redrives;
use super::settings::DeadLetterSettings;
use super::snapshot::{DropReason, QueueSnapshot};
use crate::signal::{
    self, Emit, Identity, LETTERS_DEPTH, LETTERS_DROPPED, LETTERS_EVICTED, LETTERS_OLDEST, LETTERS_PARKED,
    LETTERS_PURGED, LETTERS_REDRIVEN, Sign, Source,
};
use crate::store::{Depth, Limits, Store};
use crate::sync::Mutex;

/// Letters on their way to the store at one time. A store that hangs must not fill the memory.
const PARKING: u64 = 10_000;

#[derive(Debug)]
pub(super) struct Core {
    pub(super) name: Arc<str>,
    pub(super) component: Arc<str>,
    pub(super) settings: DeadLetterSettings,
    pub(super) store: Arc<dyn Store>,
    pub(super) redactor: LetterRedactor,
    /// What the settings and the environment say about this process.
    pub(super) identity: Identity,
    pub(super) redrives: Redrives,
    /// In one lock, so that the sum is right at every moment. Touched by failures only.
    counts: Mutex<QueueSnapshot>,
}

impl Core {
    pub(super) fn new(
        name: Arc<str>,
        settings: DeadLetterSettings,
        redactor: LetterRedactor,
        store: Arc<dyn Store>,
    ) -> Arc<Self> {
        let core = Arc::new(Self {
            component: settings.component.as_deref().map_or_else(|| Arc::clone(&name), Into::into),
            name,
            redactor,
            identity: settings.identity(),
            settings,
            store,
            redrives: Redrives::default(),
            counts: Mutex::new(QueueSnapshot::default()),
        });
        signal::register(&core);
        core
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            capacity: self.settings.capacity,
            bytes: self.settings.max_bytes,
            when_full: self.settings.when_full,
        }
    }

    pub(super) fn count<T>(&self, change: impl FnOnce(&mut QueueSnapshot) -> T) -> T {
        change(&mut self.counts.lock())
    }

    /// Counts a final failure that goes to the store now; `false` when too many do already.
    pub(super) fn begin(&self) -> bool {
        self.count(|counts| {
            counts.failures += 1;
            counts.parking += 1;
            counts.parking <= PARKING
        })
    }

    /// Counts how a failure that began to be parked ended.
    pub(super) fn settle(&self, end: Result<u64, DropReason>, why: &dyn std::fmt::Display) {
        let dropped = self.count(|counts| {
            counts.parking -= 1;
            match end {
                Ok(evicted) => {
                    counts.parked += 1;
                    counts.evicted += evicted;
                    None
                }
                Err(reason) => {
                    let count = counts.dropped.get_mut(reason as usize)?;
                    *count += 1;
                    Some((reason, *count))
                }
            }
        });
        // Each time the number doubles: a store that is down must not fill the log as well.
        if let Some((reason, count)) = dropped
            && count.is_power_of_two()
        {
            tracing::warn!(
                queue = &*self.name,
                reason = reason.as_str(),
                dropped = count,
                "failed requests could not be parked: {why}"
            );
        }
    }

    pub(super) fn snapshot(&self) -> QueueSnapshot {
        let depth = self.depth();
        let mut snapshot = self.count(|counts| counts.clone());
        snapshot.waiting = depth.waiting;
        snapshot.oldest = depth.oldest;
        snapshot
    }

    /// The store may be anyone's, and whoever collects metrics must live.
    fn depth(&self) -> Depth {
        catch_unwind(AssertUnwindSafe(|| self.store.depth(&self.name))).unwrap_or_default()
    }
}

fn age(oldest: Option<SystemTime>) -> Duration {
    oldest.and_then(|oldest| SystemTime::now().duration_since(oldest).ok()).unwrap_or_default()
}

impl Source for Core {
    fn observe(&self, emit: &mut Emit<'_>) {
        let snapshot = self.snapshot();
        let queue = ("queue", &*self.name);
        emit(&LETTERS_DEPTH, snapshot.waiting as f64, &[queue]);
        emit(&LETTERS_OLDEST, age(snapshot.oldest).as_secs_f64(), &[queue]);
        emit(&LETTERS_PARKED, snapshot.parked as f64, &[queue]);
        emit(&LETTERS_EVICTED, snapshot.evicted as f64, &[queue]);
        emit(&LETTERS_PURGED, snapshot.purged as f64, &[queue]);
        emit(&LETTERS_REDRIVEN, snapshot.redriven as f64, &[queue, ("outcome", "success")]);
        emit(&LETTERS_REDRIVEN, snapshot.redrive_failures as f64, &[queue, ("outcome", "failure")]);
        for reason in DropReason::ALL {
            emit(&LETTERS_DROPPED, snapshot.dropped(reason) as f64, &[queue, ("reason", reason.as_str())]);
        }
    }

    fn signs(&self, emit: &mut dyn FnMut(&str, Sign)) {
        let depth = self.depth();
        emit(&self.component, Sign::Letters { waiting: depth.waiting, oldest: age(depth.oldest) });
    }
}

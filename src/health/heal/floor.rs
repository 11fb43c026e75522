//! What holds for all healings of one health.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::hour::Hour;
use super::memory::Memory;
use super::record::Withheld;
use super::settings::HealingLimits;
use crate::base::clock::Tick;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::AtomicBool;

/// What all healings of one health share.
#[derive(Debug, Default)]
pub(super) struct Floor {
    pub(super) taken: Mutex<Taken>,
    /// Whether there is a file that keeps when healings began.
    pub(super) remembers: AtomicBool,
    /// Locked before `taken`, and not while the file is read or written.
    pub(super) memory: Mutex<Option<Memory>>,
    /// The file is written by one at a time. Of one that gave up, the thread that still writes.
    pub(super) writing: tokio::sync::Mutex<Option<JoinHandle<io::Result<()>>>>,
}

#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) limits: HealingLimits,
    pub(super) began: Hour,
    /// The components that are being healed.
    components: BTreeSet<Arc<str>>,
    /// How many ever began.
    number: u64,
}

/// The right to heal a component, for as long as it is kept.
#[derive(Debug)]
pub(super) struct Seat {
    floor: Arc<Floor>,
    component: Arc<str>,
    pub(super) number: u64,
}

impl Floor {
    pub(super) fn take(floor: &Arc<Self>, component: &Arc<str>, now: Tick) -> Result<Seat, Withheld> {
        let mut taken = floor.taken.lock();
        if taken.components.contains(component) {
            return Err(Withheld::ComponentBusy);
        }
        if taken.components.len() >= taken.limits.at_once {
            return Err(Withheld::TooMany);
        }
        let per_hour = taken.limits.per_hour;
        if taken.began.is_full(now, per_hour) {
            return Err(Withheld::HourlyLimitOfAll);
        }
        taken.began.begin(now);
        taken.components.insert(Arc::clone(component));
        taken.number += 1;
        Ok(Seat { floor: Arc::clone(floor), component: Arc::clone(component), number: taken.number })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.floor.taken.lock().components.remove(&self.component);
    }
}

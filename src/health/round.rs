//! What is kept of each component from one look to the next, and who looks when nobody asks.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use super::handle::Inner;
use super::score::Evidence;
use super::settings::HealthSettings;
use super::snapshot::HealthSnapshot;
use super::status::Status;
#[cfg(feature = "predict")]
use super::watched::Watched;
use crate::clock::{self, Tick};
use crate::sync::atomic::{AtomicBool, Ordering};

/// What is kept of one component.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// What it was last: a status is left at another score than it is entered at.
    status: Option<Status>,
    #[cfg(feature = "predict")]
    watched: Watched,
}

/// What is kept of all of them.
#[derive(Debug, Default)]
pub(super) struct KeptOfAll {
    /// In the order of their names.
    all: Vec<(Arc<str>, Box<Kept>)>,
    /// Room for what is found: half a megabyte for a thousand components, which is dear to ask for each time.
    room: Vec<(Arc<str>, Evidence)>,
    /// When the first round was, and when the next one is due.
    first: Option<Tick>,
    next: Tick,
}

impl KeptOfAll {
    /// Brings it up to date with what was found, and tells what follows from before; whether a round was due.
    ///
    /// Whoever asks, what is watched is measured once a round: a flood of questions must not look like a crowd
    /// of measurements.
    pub(super) fn keep(
        &mut self,
        now: Tick,
        evidence: &mut [(Arc<str>, Evidence)],
        settings: &HealthSettings,
    ) -> bool {
        let alike = |((name, _), (kept, _)): (&(Arc<str>, _), &(Arc<str>, _))| {
            Arc::ptr_eq(name, kept) || name == kept
        };
        if self.all.len() != evidence.len() || !evidence.iter().zip(&self.all).all(alike) {
            self.follow(evidence);
        }
        let due = now >= self.next;
        let first = *self.first.get_or_insert(now);
        #[cfg(feature = "predict")]
        let hour = hour_of_week(SystemTime::now());
        for ((_, evidence), (_, kept)) in evidence.iter_mut().zip(&mut self.all) {
            #[cfg(feature = "predict")]
            {
                if due {
                    kept.watched.round(now.since(first), hour, evidence, settings);
                }
                evidence.outlook = kept.watched.outlook();
            }
            evidence.before = kept.status;
        }
        if due {
            // On a grid, unless whole rounds were missed.
            let on_grid = self.next + settings.round;
            self.next = if on_grid > now { on_grid } else { now + settings.round };
        }
        due
    }

    /// Room for what is found.
    pub(super) fn room(&mut self) -> Vec<(Arc<str>, Evidence)> {
        std::mem::take(&mut self.room)
    }

    /// Keeps what became of them, and the room for the next time.
    pub(super) fn remember(&mut self, snapshot: &HealthSnapshot, mut room: Vec<(Arc<str>, Evidence)>) {
        for ((_, kept), component) in self.all.iter_mut().zip(&snapshot.components) {
            kept.status = Some(component.status);
        }
        room.clear();
        self.room = room;
    }

    /// Keeps as many as there are components. What is gone is forgotten.
    fn follow(&mut self, evidence: &[(Arc<str>, Evidence)]) {
        let mut kept = std::mem::take(&mut self.all).into_iter().peekable();
        for (name, _) in evidence {
            while kept.next_if(|(other, _)| other < name).is_some() {}
            let known = kept.next_if(|(other, _)| other == name).map(|(_, kept)| kept);
            self.all.push((Arc::clone(name), known.unwrap_or_default()));
        }
    }
}

/// The hour of the week in UTC: 0 begins on Monday at midnight.
fn hour_of_week(time: SystemTime) -> u8 {
    /// The epoch began on a Thursday.
    const EPOCH: u64 = 3 * 24;
    let hours = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / 3_600;
    u8::try_from((hours + EPOCH) % 168).unwrap_or_default()
}

/// The task that looks when nobody asks.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    running: Arc<AtomicBool>,
}

impl Rounds {
    /// Sees to it that the task runs, if there is a runtime to run it.
    ///
    /// Without one, whoever asks for a snapshot does what is due.
    pub(super) fn keep(&self, inner: &Arc<Inner>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let running = Running(Arc::clone(&self.running));
        runtime.spawn(look(Arc::downgrade(inner), running));
    }
}

/// Says so when the task ends, also by the end of its runtime: another may begin then.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

async fn look(inner: Weak<Inner>, running: Running) {
    let _running = running;
    loop {
        let Some(pause) = inner.upgrade().map(|inner| inner.round()) else { return };
        tokio::time::sleep(pause).await;
    }
}

impl Inner {
    /// Looks, if that is due; the time until it is due again.
    fn round(&self) -> Duration {
        let now = clock::now();
        let next = self.kept.lock().next;
        if now < next {
            return next.since(now);
        }
        let turn = self.cache.turn();
        let settings = self.said().settings;
        self.cache.put(turn, now, settings.cached_for, &self.look(now));
        settings.round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<(Arc<str>, Evidence)> {
        names.iter().map(|name| (Arc::from(*name), Evidence::default())).collect()
    }

    #[test]
    fn a_round_is_due_once_however_many_ask_and_none_is_made_up_for() {
        let (mut kept, settings) = (KeptOfAll::default(), HealthSettings::default());
        let start = Tick(0) + Duration::from_secs(1_000);
        let mut due =
            |millis: u64| kept.keep(start + Duration::from_millis(millis), &mut found(&["a"]), &settings);
        assert!(due(0), "the first look is a round");
        assert!((1..10_000).step_by(100).all(|millis| !due(millis)), "a flood is none");
        assert!(due(10_500) && !due(10_501));
        assert!(due(20_000), "the next one is not put off by a late one");
        assert!(due(95_000) && !due(95_001), "whoever was away for long has one round");
        assert!(!due(104_999) && due(105_000));
    }

    #[test]
    fn as_much_is_kept_as_there_are_components() {
        let (mut kept, settings) = (KeptOfAll::default(), HealthSettings::default());
        let mut keep = |names: &[&str], statuses: &[Option<Status>]| {
            let mut evidence = found(names);
            kept.keep(Tick(1), &mut evidence, &settings);
            let before: Vec<_> = evidence.iter().map(|(_, evidence)| evidence.before).collect();
            assert_eq!(before, statuses);
            kept.all.iter_mut().for_each(|(_, kept)| kept.status = Some(Status::Degraded));
            assert_eq!(kept.all.len(), names.len());
        };
        const WAS: Option<Status> = Some(Status::Degraded);
        keep(&["b", "c"], &[None, None]);
        keep(&["a", "b", "c", "d"], &[None, WAS, WAS, None]);
        keep(&["c"], &[WAS]);
        keep(&["a", "c"], &[None, WAS]);
        keep(&[], &[]);
    }

    #[test]
    fn the_hour_of_the_week_begins_on_monday() {
        let at = |seconds| hour_of_week(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        // The first of January 1970 was a Thursday, the fifth a Monday.
        assert_eq!((at(0), at(4 * 86_400 - 1), at(4 * 86_400)), (72, 167, 0));
        // Friday, the 13th of February 2009, 23:31:30.
        assert_eq!(at(1_234_567_890), 4 * 24 + 23);
    }
}

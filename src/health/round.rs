//! What is kept of each component from one look to the next, and the task that looks when no one asks.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use super::handle::Inner;
use super::hold::Hold;
use super::score::{Evidence, Verdict};
use super::settings::HealthSettings;
use super::status::Status;
#[cfg(feature = "predict")]
use super::watched::Watched;
use crate::base::clock::{self, Tick};
use crate::base::moment;
use crate::base::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "predict")]
use crate::signal::LOOK_BACK;
use crate::signal::{HEARTBEAT_PERIOD, Vitals};

/// What is kept of one component.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// What it was last: a status is left at another score than it is entered at.
    status: Option<Status>,
    hold: Hold,
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
    /// When the last round was, and for how long this process had stood still by then.
    last: Option<Tick>,
    stood: Duration,
    /// Until when the calls of the last minute are no measure of a minute.
    #[cfg(feature = "predict")]
    uneven_until: Tick,
}

/// A round that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// The time since the last one in which this process ran.
    pub(super) ran: Duration,
    /// Whether it stood still since.
    pub(super) woke: bool,
}

impl KeptOfAll {
    /// Brings it up to date with what was found, and tells what follows from before; the round, if one was due. `stood`
    /// is all the time that this process stood still.
    ///
    /// Whoever asks, what is watched is measured once a round: a flood of questions must not look like a crowd
    /// of measurements.
    pub(super) fn keep(
        &mut self,
        now: Tick,
        stood: Duration,
        evidence: &mut [(Arc<str>, Evidence)],
        settings: &HealthSettings,
    ) -> Option<Round> {
        let alike = |((name, _), (kept, _)): (&(Arc<str>, _), &(Arc<str>, _))| {
            Arc::ptr_eq(name, kept) || name == kept
        };
        if self.all.len() != evidence.len() || !evidence.iter().zip(&self.all).all(alike) {
            self.follow(evidence);
        }
        let round = (now >= self.next).then(|| {
            let stood_since = stood.saturating_sub(std::mem::replace(&mut self.stood, stood));
            let since = self.last.replace(now).map_or(Duration::ZERO, |last| now.since(last));
            Round { ran: since.saturating_sub(stood_since), woke: !stood_since.is_zero() }
        });
        let first = *self.first.get_or_insert(now);
        #[cfg(feature = "predict")]
        let measured = {
            if round.is_some_and(|round| round.woke) {
                self.uneven_until = now + LOOK_BACK;
            }
            round.is_some() && now >= self.uneven_until
        };
        #[cfg(feature = "predict")]
        let hour = hour_of_week(SystemTime::now());
        for ((_, evidence), (_, kept)) in evidence.iter_mut().zip(&mut self.all) {
            #[cfg(feature = "predict")]
            {
                if measured {
                    kept.watched.round(now.since(first), hour, evidence, settings);
                }
                evidence.outlook = kept.watched.outlook();
            }
            evidence.before = kept.status;
        }
        if round.is_some() {
            // On a grid, unless whole rounds were missed.
            let on_grid = self.next + settings.round;
            self.next = if on_grid > now { on_grid } else { now + settings.round };
        }
        round
    }

    /// The verdict on the component in that place, which was found as `evidence` says.
    pub(super) fn judge(
        &mut self,
        place: usize,
        now: Tick,
        evidence: &Evidence,
        settings: &HealthSettings,
    ) -> Verdict {
        let verdict = evidence.judge(settings);
        let Some((_, kept)) = self.all.get_mut(place) else { return verdict };
        let verdict = kept.hold.apply(now, verdict, evidence.vital.as_ref(), settings);
        kept.status = Some(verdict.status);
        verdict
    }

    /// Room for what is found.
    pub(super) fn room(&mut self) -> Vec<(Arc<str>, Evidence)> {
        std::mem::take(&mut self.room)
    }

    /// Keeps the room for the next time.
    pub(super) fn keep_room(&mut self, mut room: Vec<(Arc<str>, Evidence)>) {
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
        let running = Running { running: Arc::clone(&self.running), vitals: Arc::clone(&inner.vitals) };
        runtime.spawn(look(Arc::downgrade(inner), running));
    }
}

/// Says so when the task ends, also by the end of its runtime: another may begin then.
struct Running {
    running: Arc<AtomicBool>,
    vitals: Arc<Vitals>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.vitals.heartbeat().stop();
        self.running.store(false, Ordering::Release);
    }
}

async fn look(inner: Weak<Inner>, running: Running) {
    let heartbeat = running.vitals.heartbeat();
    loop {
        heartbeat.beat(clock::now(), moment::micros(moment::now()));
        let Some(pause) = inner.upgrade().map(|inner| inner.round()) else { return };
        // A look may take its time.
        heartbeat.expect_next(clock::now());
        tokio::time::sleep(pause.min(HEARTBEAT_PERIOD)).await;
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
        let mut due = |millis: u64| {
            kept.keep(start + Duration::from_millis(millis), Duration::ZERO, &mut found(&["a"]), &settings)
                .is_some()
        };
        assert!(due(0), "the first look is a round");
        assert!((1..10_000).step_by(100).all(|millis| !due(millis)), "a flood is none");
        assert!(due(10_500) && !due(10_501));
        assert!(due(20_000), "the next one is not put off by a late one");
        assert!(due(95_000) && !due(95_001), "whoever was away for long has one round");
        assert!(!due(104_999) && due(105_000));
    }

    #[test]
    fn a_round_tells_how_much_of_the_time_since_the_last_one_this_process_ran() {
        let (mut kept, settings) = (KeptOfAll::default(), HealthSettings::default());
        let mut round = |at: u64, stood: u64| {
            let (at, stood) = (Tick(0) + Duration::from_secs(at), Duration::from_secs(stood));
            kept.keep(at, stood, &mut found(&["a"]), &settings).map(|round| (round.ran.as_secs(), round.woke))
        };
        assert_eq!(round(1_000, 0), Some((0, false)));
        assert_eq!((round(1_009, 0), round(1_010, 0)), (None, Some((10, false))));
        assert_eq!((round(1_052, 35), round(1_062, 35)), (Some((7, true)), Some((10, false))));
    }

    #[test]
    fn as_much_is_kept_as_there_are_components() {
        let (mut kept, settings) = (KeptOfAll::default(), HealthSettings::default());
        let mut keep = |names: &[&str], statuses: &[Option<Status>]| {
            let mut evidence = found(names);
            kept.keep(Tick(1), Duration::ZERO, &mut evidence, &settings);
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

//! The schedule: the next due source, and the task of each thread.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::reading::Job;
use super::rhythm::Rhythm;
use super::source::{Note, Scheduled, State};
use crate::base::clock::Tick;
use crate::sampler::probe::ProbeError;

/// If a thread is busy with one source for longer than this, another thread reads the other sources.
pub(super) const GRACE: Duration = Duration::from_millis(50);
/// How much later than the reading thread the watching thread wakes: a little more than [`GRACE`].
const WATCH: Duration = Duration::from_millis(55);

pub(super) struct ScheduleState {
    pub(super) sources: Vec<Scheduled>,
    pub(super) readers: Vec<Reader>,
    /// The thread that reads the next source; `None` while it is busy.
    pub(super) leader: Option<u64>,
    pub(super) started: u64,
    pub(super) rhythm: Rhythm,
    pub(super) stopped: bool,
}

/// A thread.
pub(super) struct Reader {
    pub(super) id: u64,
    pub(super) thread: JoinHandle<()>,
    pub(super) activity: Activity,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Activity {
    /// It sleeps until this time.
    Idle(Tick),
    /// It has been reading a source, or logging, since this time.
    Busy(Tick),
    Ended,
}

impl ScheduleState {
    pub(super) fn set(&mut self, id: u64, activity: Activity) {
        if let Some(reader) = self.readers.iter_mut().find(|reader| reader.id == id) {
            reader.activity = activity;
        }
    }

    /// The source that is due first. Sources that failed come after the others, because they may block the thread.
    pub(super) fn next(&self, now: Option<Tick>) -> Option<(usize, Tick)> {
        self.sources
            .iter()
            .enumerate()
            .filter_map(|(place, source)| match source.state {
                State::Due(due) => Some((place, due, source.failures_in_a_row > 0)),
                State::Reading(_) | State::Overdue => None,
            })
            .filter(|(_, due, _)| now.is_none_or(|now| *due <= now))
            .min_by_key(|(_, due, failed)| (now.is_some() && *failed, *due))
            .map(|(place, due, _)| (place, due))
    }

    /// The time until which due sources are left to the threads that are busy.
    pub(super) fn left_to_others(&self) -> Tick {
        let until = |reader: &Reader| match reader.activity {
            Activity::Busy(since) => Some(since + GRACE),
            Activity::Idle(_) | Activity::Ended => None,
        };
        self.readers.iter().filter_map(until).max().unwrap_or_default()
    }

    /// The next source to read, if one is due and not left to the other threads.
    pub(super) fn take(&mut self, now: Tick) -> Option<Job> {
        if self.left_to_others() > now {
            return None;
        }
        let (place, _) = self.next(Some(now))?;
        let source = self.sources.get_mut(place)?;
        source.state = State::Reading(now + source.plan.deadline);
        Some(Job {
            source: place,
            make: Arc::clone(&source.plan.make),
            probe: source.probe.take(),
            sample: source.reusable.take().unwrap_or_default(),
            started: now,
        })
    }

    /// Gives up one source that has not answered in time, and returns it.
    pub(super) fn give_up_overdue(&mut self, now: Tick) -> Option<(usize, Option<Note>)> {
        let overdue = |source: &Scheduled| matches!(source.state, State::Reading(until) if until <= now);
        let place = self.sources.iter().position(overdue)?;
        let source = self.sources.get_mut(place)?;
        let error = ProbeError(format!("the source did not answer within {:?}", source.plan.deadline).into());
        let note = source.failed(now, self.rhythm, error);
        source.state = State::Overdue;
        Some((place, note))
    }

    /// The time at which a sleeping thread must wake.
    pub(super) fn next_event(&self, leads: bool) -> Option<Tick> {
        let due = self.next(None).map(|(_, due)| due.max(self.left_to_others()));
        if !leads {
            return due.map(|due| due + WATCH);
        }
        let deadline = |source: &Scheduled| match source.state {
            State::Reading(until) => Some(until),
            State::Due(_) | State::Overdue => None,
        };
        self.sources.iter().filter_map(deadline).chain(due).min()
    }

    /// Whether two other threads sleep already: one to read and one to watch.
    pub(super) fn is_surplus(&self, id: u64) -> bool {
        let idle = self.readers.iter().filter(|reader| matches!(reader.activity, Activity::Idle(_)));
        idle.count() > 2 && self.leader != Some(id)
    }
}

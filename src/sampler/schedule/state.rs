//! Which source is due, and what each thread does.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::reading::Job;
use super::rhythm::Rhythm;
use super::source::{Note, Scheduled, State};
use crate::base::clock::Tick;
use crate::sampler::probe::ProbeError;

/// A reader that is busy with one source for longer does not get to the others: another one takes over.
pub(super) const GRACE: Duration = Duration::from_millis(50);
/// The one that watches wakes so much after the reader: a little more than it has to wait.
const WATCH: Duration = Duration::from_millis(55);

pub(super) struct ScheduleState {
    pub(super) sources: Vec<Scheduled>,
    pub(super) readers: Vec<Reader>,
    /// Who reads what is due next; `None` as long as it is busy.
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
    /// It sleeps until then.
    Idle(Tick),
    /// It reads a source, or logs, since then.
    Busy(Tick),
    Ended,
}

impl ScheduleState {
    pub(super) fn set(&mut self, id: u64, activity: Activity) {
        if let Some(reader) = self.readers.iter_mut().find(|reader| reader.id == id) {
            reader.activity = activity;
        }
    }

    /// The source that is due first. One that failed comes after the others: it may hold up its reader.
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

    /// Until then, a reader that is busy may come to what is due by itself.
    pub(super) fn left_to_others(&self) -> Tick {
        let until = |reader: &Reader| match reader.activity {
            Activity::Busy(since) => Some(since + GRACE),
            Activity::Idle(_) | Activity::Ended => None,
        };
        self.readers.iter().filter_map(until).max().unwrap_or_default()
    }

    /// The next source to read, if it is due and not left to others.
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

    /// Gives up one source that has not answered in time, and says which.
    pub(super) fn give_up_overdue(&mut self, now: Tick) -> Option<(usize, Option<Note>)> {
        let overdue = |source: &Scheduled| matches!(source.state, State::Reading(until) if until <= now);
        let place = self.sources.iter().position(overdue)?;
        let source = self.sources.get_mut(place)?;
        let error = ProbeError(format!("no answer within {:?}", source.plan.deadline).into());
        let note = source.failed(now, self.rhythm, error);
        source.state = State::Overdue;
        Some((place, note))
    }

    /// When a thread that sleeps has to look again.
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

    /// Whether two others sleep already, one to read and one to watch.
    pub(super) fn is_surplus(&self, id: u64) -> bool {
        let idle = self.readers.iter().filter(|reader| matches!(reader.activity, Activity::Idle(_)));
        idle.count() > 2 && self.leader != Some(id)
    }
}

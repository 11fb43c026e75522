//! One source: when it is read again, and what is said about it.

use std::borrow::Cow;
use std::time::Duration;

use super::rhythm::Rhythm;
use crate::backoff::Backoff;
use crate::clock::Tick;
use crate::sampler::probe::{Plan, Probe, ProbeError, Sample};

/// The second reading comes this soon: shares of processor time need two.
const SECOND_READING: Duration = Duration::from_millis(500);
/// A source that keeps failing is still tried this often.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

pub(super) struct Scheduled {
    pub(super) plan: Plan,
    pub(super) probe: Option<Box<dyn Probe>>,
    /// An empty sample with the room of the last one but one.
    pub(super) spare: Option<Sample>,
    pub(super) state: State,
    pub(super) failures_in_a_row: u32,
    read_once: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// To be read then.
    Due(Tick),
    /// Being read, and in time until then.
    Reading(Tick),
    /// Did not answer by its deadline, and has not answered yet.
    Overdue,
}

/// What is to be logged.
#[derive(Debug)]
pub(super) enum Note {
    Fails(Cow<'static, str>, ProbeError),
    IsBack(Cow<'static, str>),
}

impl Note {
    pub(super) fn log(self) {
        match self {
            Self::Fails(source, error) => tracing::warn!(
                source = &*source,
                error = %error,
                "the sampler cannot read this source; it is tried again ever more rarely"
            ),
            Self::IsBack(source) => {
                tracing::info!(source = &*source, "the sampler can read this source again");
            }
        }
    }
}

impl Scheduled {
    /// A source that is due at once.
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            probe: None,
            spare: None,
            state: State::Due(Tick(0)),
            failures_in_a_row: 0,
            read_once: false,
        }
    }

    /// It was read, from `started` to `now`.
    pub(super) fn succeeded(&mut self, started: Tick, now: Tick, rhythm: Rhythm) -> Option<Note> {
        let every = self.plan.every;
        let due = if std::mem::replace(&mut self.read_once, true) {
            // Half an interval keeps a beat from being taken twice, and leaves a slow source some peace.
            rhythm.beat(every, (started + every / 2).max(now))
        } else {
            started + SECOND_READING.min(every)
        };
        self.state = State::Due(due);
        let was_failing = std::mem::take(&mut self.failures_in_a_row) > 0;
        was_failing.then(|| Note::IsBack(self.plan.name.clone()))
    }

    /// It could not be read.
    pub(super) fn failed(&mut self, now: Tick, rhythm: Rhythm, error: ProbeError) -> Option<Note> {
        let first = self.failures_in_a_row == 0;
        self.state = State::Due(self.after_a_pause(now, rhythm));
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        first.then(|| Note::Fails(self.plan.name.clone(), error))
    }

    /// A growing, jittered pause, and then the next beat: a source that fails wakes no thread for itself alone.
    pub(super) fn after_a_pause(&self, now: Tick, rhythm: Rhythm) -> Tick {
        let every = self.plan.every;
        let pause = Backoff::exponential(every * 2, LONGEST_PAUSE.max(every * 2));
        rhythm.beat(every, now + pause.delay(self.failures_in_a_row, Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_pause_after_a_failure_grows_and_ends_with_a_success() {
        struct Nothing;
        impl Probe for Nothing {
            fn sample(&mut self, _: &mut Sample) -> Result<(), ProbeError> {
                Ok(())
            }
        }
        let every = Duration::from_secs(10);
        let make = Arc::new(|| Box::new(Nothing) as Box<dyn Probe>);
        let mut source = Scheduled::new(Plan { name: "bad".into(), make, every, deadline: every });
        let (start, rhythm) = (Tick(1_000_000_000_000), Rhythm::by_chance());
        let pause = |source: &Scheduled| match source.state {
            State::Due(due) => {
                assert_eq!(rhythm.beat(every, due), due, "at a beat");
                due.since(start)
            }
            State::Reading(_) | State::Overdue => panic!("not due"),
        };
        for most in [20, 40, 80, 160, 300, 300] {
            let note = source.failed(start, rhythm, ProbeError("gone".into()));
            assert_eq!(note.is_some(), most == 20, "one line at the first failure");
            let (pause, most) = (pause(&source), Duration::from_secs(most));
            assert!(pause >= most / 2 && pause < most + every, "{pause:?}");
        }
        assert!(matches!(source.succeeded(start, start, rhythm), Some(Note::IsBack(_))));
        assert!(matches!(source.state, State::Due(due) if due == start + SECOND_READING));
        for took in [0, 4, 14] {
            assert!(source.succeeded(start, start + Duration::from_secs(took), rhythm).is_none());
            let pause = pause(&source);
            assert!(pause >= Duration::from_secs(took.max(5)), "{pause:?}");
            assert!(pause < Duration::from_secs(took.max(5)) + every, "{pause:?}");
        }
    }
}

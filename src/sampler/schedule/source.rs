//! One source: when it is read again, and what is logged about it.

use std::borrow::Cow;
use std::time::Duration;

use super::rhythm::Rhythm;
use crate::base::backoff::Backoff;
use crate::base::clock::Tick;
use crate::sampler::probe::{Failures, Part, Plan, Probe, ProbeError, Sample};

/// The time from the first to the second reading. It is short, because shares of processor time need two readings.
const SECOND_READING: Duration = Duration::from_millis(500);
/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

pub(super) struct Scheduled {
    pub(super) plan: Plan,
    pub(super) probe: Option<Box<dyn Probe>>,
    /// An empty sample, with the allocations of an earlier one.
    pub(super) reusable: Option<Sample>,
    pub(super) state: State,
    pub(super) failures_in_a_row: u32,
    /// The parts that failed at the last reading.
    failing: Vec<Part>,
    read_once: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// It is due at this time.
    Due(Tick),
    /// It is being read. This is the deadline.
    Reading(Tick),
    /// It is being read, and its deadline has passed.
    Overdue,
}

/// A line to log.
#[derive(Debug)]
pub(super) enum Note {
    Failed(Cow<'static, str>, ProbeError),
    Recovered(Cow<'static, str>),
    PartFailed(Cow<'static, str>, Part, ProbeError),
    PartRecovered(Cow<'static, str>, Part),
}

impl Note {
    pub(super) fn log(self) {
        match self {
            Self::Failed(source, error) => tracing::warn!(
                source = &*source,
                error = %error,
                "the sampler cannot read this source; it tries again after growing pauses"
            ),
            Self::Recovered(source) => {
                tracing::info!(source = &*source, "the sampler can read this source again");
            }
            Self::PartFailed(source, part, error) => tracing::warn!(
                source = &*source,
                part,
                error = %error,
                "the sampler cannot read this part of a source; it reads the rest of it"
            ),
            Self::PartRecovered(source, part) => {
                tracing::info!(source = &*source, part, "the sampler can read this part of a source again");
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
            reusable: None,
            state: State::Due(Tick(0)),
            failures_in_a_row: 0,
            failing: Vec::new(),
            read_once: false,
        }
    }

    /// Plans the next reading after a success that took from `started` to `now`.
    pub(super) fn succeeded(&mut self, started: Tick, now: Tick, rhythm: Rhythm) -> Option<Note> {
        let every = self.plan.every;
        let due = if std::mem::replace(&mut self.read_once, true) {
            // At least half an interval later, so that no beat is taken twice, and a slow source gets a pause.
            rhythm.beat(every, (started + every / 2).max(now))
        } else {
            started + SECOND_READING.min(every)
        };
        self.state = State::Due(due);
        let was_failing = std::mem::take(&mut self.failures_in_a_row) > 0;
        was_failing.then(|| Note::Recovered(self.plan.name.clone()))
    }

    /// The lines to log about parts that failed for the first time, and about those that recovered.
    pub(super) fn part_notes(&mut self, failures: &Failures) -> impl Iterator<Item = Note> + use<> {
        let mut notes = Vec::new();
        for (part, why) in failures.0.iter().filter(|(part, _)| !self.failing.contains(part)) {
            notes.push(Note::PartFailed(self.plan.name.clone(), part, why.clone()));
        }
        let fails = |part: &Part| failures.0.iter().any(|(failed, _)| failed == part);
        for part in self.failing.iter().filter(|part| !fails(part)) {
            notes.push(Note::PartRecovered(self.plan.name.clone(), part));
        }
        if !notes.is_empty() {
            self.failing = failures.0.iter().map(|(part, _)| *part).collect();
        }
        notes.into_iter()
    }

    /// Plans the next reading after a failure.
    pub(super) fn failed(&mut self, now: Tick, rhythm: Rhythm, error: ProbeError) -> Option<Note> {
        let first = self.failures_in_a_row == 0;
        self.state = State::Due(self.after_a_pause(now, rhythm));
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        first.then(|| Note::Failed(self.plan.name.clone(), error))
    }

    /// The first beat after a growing pause with jitter. A beat, so that a failing source does not wake a thread on its
    /// own.
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

    const EVERY: Duration = Duration::from_secs(10);

    /// A source without values.
    fn scheduled(name: &'static str) -> Scheduled {
        struct Nothing;
        impl Probe for Nothing {
            fn sample(&mut self, _: &mut Sample) -> Result<(), ProbeError> {
                Ok(())
            }
        }
        let make = Arc::new(|| Box::new(Nothing) as Box<dyn Probe>);
        Scheduled::new(Plan { name: name.into(), make, every: EVERY, deadline: EVERY })
    }

    #[test]
    fn the_pause_after_a_failure_grows_and_ends_with_a_success() {
        let mut source = scheduled("bad");
        let (start, rhythm) = (Tick(1_000_000_000_000), Rhythm::random());
        let pause = |source: &Scheduled| match source.state {
            State::Due(due) => {
                assert_eq!(rhythm.beat(EVERY, due), due, "at a beat");
                due.since(start)
            }
            State::Reading(_) | State::Overdue => panic!("not due"),
        };
        for most in [20, 40, 80, 160, 300, 300] {
            let note = source.failed(start, rhythm, ProbeError("gone".into()));
            assert_eq!(note.is_some(), most == 20, "one line, at the first failure");
            let (pause, most) = (pause(&source), Duration::from_secs(most));
            assert!(pause >= most / 2 && pause < most + EVERY, "{pause:?}");
        }
        assert!(matches!(source.succeeded(start, start, rhythm), Some(Note::Recovered(_))));
        assert!(matches!(source.state, State::Due(due) if due == start + SECOND_READING));
        for took in [0, 4, 14] {
            assert!(source.succeeded(start, start + Duration::from_secs(took), rhythm).is_none());
            let pause = pause(&source);
            assert!(pause >= Duration::from_secs(took.max(5)), "{pause:?}");
            assert!(pause < Duration::from_secs(took.max(5)) + EVERY, "{pause:?}");
        }
    }

    #[test]
    fn p40_a_part_that_fails_is_logged_once_until_it_recovers() {
        let mut source = scheduled("machine");
        let mut logged = |parts: &[Part]| {
            let mut failures = Failures::default();
            parts.iter().for_each(|part| failures.add(part, "gone"));
            let notes = source.part_notes(&failures).map(|note| match note {
                Note::PartFailed(_, part, _) => format!("-{part}"),
                Note::PartRecovered(_, part) => format!("+{part}"),
                other => panic!("{other:?}"),
            });
            notes.collect::<Vec<_>>()
        };
        assert_eq!(logged(&[]), [""; 0]);
        assert_eq!(logged(&["a", "b"]), ["-a", "-b"]);
        assert_eq!(logged(&["b", "a"]), [""; 0]);
        assert_eq!(logged(&["b", "c"]), ["-c", "+a"]);
        assert_eq!(logged(&[]), ["+b", "+c"]);
    }
}

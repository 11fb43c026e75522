//! The state of each component, kept from one snapshot to the next.

use std::sync::Arc;
use std::time::Duration;
#[cfg(feature = "predict")]
use std::time::SystemTime;

use super::evidence::Evidence;
use super::hold::Hold;
#[cfg(feature = "predict")]
use super::measures::measures;
#[cfg(feature = "predict")]
use super::outlook::Outlook;
#[cfg(feature = "predict")]
use super::predict::Predictor;
use super::score::Verdict;
use super::settings::HealthSettings;
use super::status::Status;
use crate::base::clock::Tick;
#[cfg(feature = "predict")]
use crate::signal::LOOK_BACK;

/// The state of one component.
#[derive(Debug, Default)]
struct State {
    /// The last status. A better status needs a score above the threshold plus a margin.
    status: Option<Status>,
    hold: Hold,
    #[cfg(feature = "predict")]
    predictor: Predictor,
    /// The outlook of the last round.
    #[cfg(feature = "predict")]
    outlook: Option<Arc<Outlook>>,
}

/// The states of all components.
#[derive(Debug, Default)]
pub(super) struct States {
    /// Sorted by name.
    components: Vec<(Arc<str>, Box<State>)>,
    /// The buffer for evidence. It is reused, because it takes half a megabyte for a thousand components.
    buffer: Vec<(Arc<str>, Evidence)>,
    first_round: Option<Tick>,
    last_round: Option<Tick>,
    next_round: Tick,
    /// The total time that this process had stood still by the last round.
    stood: Duration,
    /// Vital signs are not measured before this time, because the last minute includes a standstill.
    #[cfg(feature = "predict")]
    uneven_until: Tick,
}

/// A round that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// The time since the last round in which this process ran.
    pub(super) ran: Duration,
    /// Whether this process stood still since the last round.
    pub(super) woke: bool,
}

impl States {
    /// When the next round is due.
    pub(super) fn next_round(&self) -> Tick {
        self.next_round
    }

    /// Keeps one state for each component of `evidence`, and adds the last status and outlook to `evidence`. Returns the
    /// round if one was due. `stood` is the total time that this process has stood still.
    ///
    /// Vital signs are measured once per round, not once per snapshot: a flood of probes must not look like many
    /// measurements.
    pub(super) fn update(
        &mut self,
        now: Tick,
        stood: Duration,
        evidence: &mut [(Arc<str>, Evidence)],
        settings: &HealthSettings,
    ) -> Option<Round> {
        let same = |((name, _), (known, _)): (&(Arc<str>, _), &(Arc<str>, _))| {
            Arc::ptr_eq(name, known) || name == known
        };
        if self.components.len() != evidence.len() || !evidence.iter().zip(&self.components).all(same) {
            self.follow(evidence);
        }
        let round = (now >= self.next_round).then(|| {
            let stood_since = stood.saturating_sub(std::mem::replace(&mut self.stood, stood));
            let since = self.last_round.replace(now).map_or(Duration::ZERO, |last| now.since(last));
            Round { ran: since.saturating_sub(stood_since), woke: !stood_since.is_zero() }
        });
        let first = *self.first_round.get_or_insert(now);
        #[cfg(not(feature = "predict"))]
        let _ = first;
        #[cfg(feature = "predict")]
        let measured = {
            if round.is_some_and(|round| round.woke) {
                self.uneven_until = now + LOOK_BACK;
            }
            round.is_some() && now >= self.uneven_until
        };
        #[cfg(feature = "predict")]
        let hour = hour_of_week(SystemTime::now());
        for ((_, evidence), (_, state)) in evidence.iter_mut().zip(&mut self.components) {
            #[cfg(feature = "predict")]
            {
                if measured {
                    state.measure(now.since(first), hour, evidence, settings);
                }
                evidence.outlook.clone_from(&state.outlook);
            }
            evidence.last_status = state.status;
        }
        if round.is_some() {
            // Rounds start at fixed intervals, unless whole rounds were missed.
            let on_grid = self.next_round + settings.round;
            self.next_round = if on_grid > now { on_grid } else { now + settings.round };
        }
        round
    }

    /// Judges the component at `index` by its `evidence`.
    pub(super) fn judge(
        &mut self,
        index: usize,
        now: Tick,
        evidence: &Evidence,
        settings: &HealthSettings,
    ) -> Verdict {
        let verdict = evidence.judge(settings);
        let Some((_, state)) = self.components.get_mut(index) else { return verdict };
        let verdict = state.hold.apply(now, verdict, evidence.vital.as_ref(), settings);
        state.status = Some(verdict.status);
        verdict
    }

    /// Takes the empty buffer for evidence.
    pub(super) fn take_buffer(&mut self) -> Vec<(Arc<str>, Evidence)> {
        std::mem::take(&mut self.buffer)
    }

    /// Returns the buffer for the next snapshot.
    pub(super) fn return_buffer(&mut self, mut buffer: Vec<(Arc<str>, Evidence)>) {
        buffer.clear();
        self.buffer = buffer;
    }

    /// Keeps one state for each component of `evidence`, and drops the others.
    fn follow(&mut self, evidence: &[(Arc<str>, Evidence)]) {
        let mut known = std::mem::take(&mut self.components).into_iter().peekable();
        for (name, _) in evidence {
            while known.next_if(|(other, _)| other < name).is_some() {}
            let state = known.next_if(|(other, _)| other == name).map(|(_, state)| state);
            self.components.push((Arc::clone(name), state.unwrap_or_default()));
        }
    }
}

#[cfg(feature = "predict")]
impl State {
    /// Measures the vital signs at the time `at` since the first round.
    fn measure(&mut self, at: Duration, hour_of_week: u8, evidence: &Evidence, settings: &HealthSettings) {
        self.predictor.update(at, hour_of_week, &measures(evidence, settings), &settings.predict);
        self.outlook = self.predictor.outlook(&settings.predict).map(Arc::new);
    }
}

/// The hour of the week in UTC: 0 begins on Monday at midnight.
#[cfg(feature = "predict")]
fn hour_of_week(time: SystemTime) -> u8 {
    /// The Unix epoch was a Thursday.
    const EPOCH: u64 = 3 * 24;
    let hours = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / 3_600;
    u8::try_from((hours + EPOCH) % 168).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence_of(names: &[&str]) -> Vec<(Arc<str>, Evidence)> {
        names.iter().map(|name| (Arc::from(*name), Evidence::default())).collect()
    }

    #[test]
    fn a_round_is_due_once_however_many_snapshots_are_taken_and_missed_rounds_are_skipped() {
        let (mut states, settings) = (States::default(), HealthSettings::default());
        let start = Tick(0) + Duration::from_secs(1_000);
        let mut due = |millis: u64| {
            states
                .update(
                    start + Duration::from_millis(millis),
                    Duration::ZERO,
                    &mut evidence_of(&["a"]),
                    &settings,
                )
                .is_some()
        };
        assert!(due(0), "the first snapshot is a round");
        assert!((1..10_000).step_by(100).all(|millis| !due(millis)), "a flood of snapshots is not a round");
        assert!(due(10_500) && !due(10_501));
        assert!(due(20_000), "a late round does not delay the next one");
        assert!(due(95_000) && !due(95_001), "after a long gap one round is due");
        assert!(!due(104_999) && due(105_000));
    }

    #[test]
    fn a_round_says_how_long_this_process_ran_since_the_last_one() {
        let (mut states, settings) = (States::default(), HealthSettings::default());
        let mut round = |at: u64, stood: u64| {
            let (at, stood) = (Tick(0) + Duration::from_secs(at), Duration::from_secs(stood));
            states
                .update(at, stood, &mut evidence_of(&["a"]), &settings)
                .map(|round| (round.ran.as_secs(), round.woke))
        };
        assert_eq!(round(1_000, 0), Some((0, false)));
        assert_eq!((round(1_009, 0), round(1_010, 0)), (None, Some((10, false))));
        assert_eq!((round(1_052, 35), round(1_062, 35)), (Some((7, true)), Some((10, false))));
    }

    #[test]
    fn one_state_is_kept_for_each_component() {
        let (mut states, settings) = (States::default(), HealthSettings::default());
        let mut update = |names: &[&str], statuses: &[Option<Status>]| {
            let mut evidence = evidence_of(names);
            states.update(Tick(1), Duration::ZERO, &mut evidence, &settings);
            let last: Vec<_> = evidence.iter().map(|(_, evidence)| evidence.last_status).collect();
            assert_eq!(last, statuses);
            states.components.iter_mut().for_each(|(_, state)| state.status = Some(Status::Degraded));
            assert_eq!(states.components.len(), names.len());
        };
        const WAS: Option<Status> = Some(Status::Degraded);
        update(&["b", "c"], &[None, None]);
        update(&["a", "b", "c", "d"], &[None, WAS, WAS, None]);
        update(&["c"], &[WAS]);
        update(&["a", "c"], &[None, WAS]);
        update(&[], &[]);
    }

    #[cfg(feature = "predict")]
    #[test]
    fn the_hour_of_the_week_begins_on_monday() {
        let at = |seconds| hour_of_week(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        // 1 January 1970 was a Thursday, 5 January a Monday.
        assert_eq!((at(0), at(4 * 86_400 - 1), at(4 * 86_400)), (72, 167, 0));
        // Friday, 13 February 2009, 23:31:30.
        assert_eq!(at(1_234_567_890), 4 * 24 + 23);
    }
}

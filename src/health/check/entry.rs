//! The state of one check: its results, and the callers that wait for a run.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::measured::Measured;
use super::poll_timer::PollTimer;
use super::text::sanitize;
use super::transitions::log_transition;
use crate::base::clock::{self, Tick};
use crate::base::every::Every;
use crate::base::moment;
use crate::base::sync::Mutex;
use crate::health::texts::Texts;
use crate::health::{CheckOutcome, CheckReport};
use crate::signal::{CHECK_DURATION, DurationRecorder};

/// A result is overdue when it is later than this.
const GRACE: Duration = Duration::from_secs(1);

/// A result that is overdue although the check blocks no thread is not the fault of the component: the process stood still,
/// or other code keeps the runtime busy. The last outcome counts until the result has been overdue for this long.
const OVERDUE_LIMIT: Duration = Duration::from_secs(60);

/// Maximum time that counts as overdue between two calls of [`Entry::report`]: the process may have stood still.
const OVERDUE_STEP: Duration = Duration::from_secs(15);

/// See the [module](self).
pub(super) struct Entry {
    pub(super) every: Every,
    state: Mutex<State>,
    /// Number of runs that ended, for callers that wait for one.
    progress: watch::Sender<Progress>,
    /// A caller requested a run.
    wake: Notify,
    pub(super) poll_timer: PollTimer,
    pub(super) measured: Arc<Measured>,
    task: Mutex<Option<AbortHandle>>,
    recorders: Mutex<[Option<Arc<DurationRecorder>>; OUTCOMES.len()]>,
    /// Called after each change of the outcome.
    changed: Box<dyn Fn() + Send + Sync>,
    texts: Texts,
}

struct State {
    report: Arc<CheckReport>,
    /// Passes since the last failure.
    passes_in_a_row: u64,
    /// Number of runs that ended, by outcome.
    counts: [u64; OUTCOMES.len()],
    requested: bool,
    running: bool,
    /// The deadline of the next result.
    expected: Tick,
    /// The last call of `report` that found the result overdue, and for how long it had been overdue by then.
    overdue: Option<(Tick, Duration)>,
    /// Whether `report` has returned a missing result.
    reported_missing: bool,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    runs: u64,
    /// The check has no task any more.
    stopped: bool,
}

/// The outcomes of a run, in the order of the counters.
pub(super) const OUTCOMES: [CheckOutcome; 5] = [
    CheckOutcome::Pass,
    CheckOutcome::Warn,
    CheckOutcome::Fail,
    CheckOutcome::TimedOut,
    CheckOutcome::Panicked,
];

/// The result of a run.
#[derive(Debug)]
pub(super) struct RunResult {
    pub(super) outcome: CheckOutcome,
    pub(super) message: Option<String>,
    pub(super) took: Duration,
}

impl Entry {
    pub(super) fn new(
        component: Arc<str>,
        check: Arc<str>,
        every: Every,
        changed: Box<dyn Fn() + Send + Sync>,
        texts: Texts,
    ) -> Self {
        let report = CheckReport {
            component,
            check,
            outcome: CheckOutcome::Pending,
            last: CheckOutcome::Pending,
            message: None,
            took: Duration::ZERO,
            at: None,
            runs: 0,
            failures: 0,
            failures_in_a_row: 0,
            passed_once: false,
            timeout: every.check_timeout(),
        };
        let state = State {
            report: Arc::new(report),
            passes_in_a_row: 0,
            counts: [0; OUTCOMES.len()],
            requested: false,
            running: false,
            expected: Tick(u64::MAX),
            overdue: None,
            reported_missing: false,
        };
        Self {
            every,
            state: Mutex::new(state),
            progress: watch::Sender::default(),
            wake: Notify::new(),
            poll_timer: PollTimer::default(),
            measured: Arc::default(),
            task: Mutex::default(),
            recorders: Mutex::default(),
            changed,
            texts,
        }
    }

    // ----- for callers -----

    /// The last result, or a timeout when the next one is missing.
    pub(super) fn report(&self, now: Tick) -> Arc<CheckReport> {
        let mut state = self.state.lock();
        let late = now.since(state.expected);
        if late <= GRACE {
            state.overdue = None;
            return Arc::clone(&state.report);
        }
        let overdue = match state.overdue {
            Some((last, overdue)) => overdue + now.since(last).min(OVERDUE_STEP),
            None => Duration::ZERO,
        };
        state.overdue = Some((now, overdue));
        let hangs = self.poll_timer.stuck_for(now) > self.every.check_timeout();
        if !hangs && overdue < OVERDUE_LIMIT && !self.progress.borrow().stopped {
            return Arc::clone(&state.report);
        }
        state.reported_missing = true;
        self.missing(&state.report, late)
    }

    /// Number of runs that ended, by outcome, and the report.
    pub(super) fn counts(&self, now: Tick) -> ([u64; OUTCOMES.len()], Arc<CheckReport>) {
        let counts = self.state.lock().counts;
        (counts, self.report(now))
    }

    /// Waits for a run. A run that is in progress is joined, unless `fresh` requires one that starts from now on.
    pub(super) async fn run(&self, fresh: bool) -> Arc<CheckReport> {
        let mut progress = self.progress.subscribe();
        let target = {
            let mut state = self.state.lock();
            let joins = state.running && !fresh;
            if !joins && !state.requested {
                state.requested = true;
                self.wake.notify_one();
            }
            state.report.runs + if state.running && fresh { 2 } else { 1 }
        };
        // This cannot fail: `self` holds the sender.
        let reached = progress.wait_for(|now| now.stopped || now.runs >= target).await;
        let stopped = reached.is_ok_and(|now| now.runs < target);
        let report = self.report(clock::now());
        if !stopped {
            return report;
        }
        let message = "the check no longer runs: it was stopped, or its Tokio runtime has ended";
        Arc::new(CheckReport {
            outcome: CheckOutcome::TimedOut,
            last: CheckOutcome::TimedOut,
            message: Some(message.into()),
            ..CheckReport::clone(&report)
        })
    }

    /// The report while a result is missing. It is made here, because a check that blocks its thread may block the task
    /// that would report the timeout.
    fn missing(&self, report: &CheckReport, late: Duration) -> Arc<CheckReport> {
        let missed = late.as_nanos() / self.every.interval.as_nanos().max(1) + 1;
        let missed = u64::try_from(missed).unwrap_or(u64::MAX);
        let failures = report.failures_in_a_row.saturating_add(missed);
        let late = Duration::from_secs(late.as_secs());
        let late = humantime::format_duration(late);
        let message = format!(
            "no result {late} after its deadline: the check blocks its thread, or its Tokio runtime has ended or is busy"
        );
        let counts = failures >= u64::from(self.every.failures) || report.outcome.is_failure();
        Arc::new(CheckReport {
            outcome: if counts { CheckOutcome::TimedOut } else { report.outcome },
            last: CheckOutcome::TimedOut,
            message: Some(message.into()),
            failures_in_a_row: failures,
            ..report.clone()
        })
    }

    // ----- for the runner -----

    /// Sets the task that [`stop`](Self::stop) ends.
    pub(super) fn set_task(&self, task: AbortHandle) {
        *self.task.lock() = Some(task);
    }

    /// Ends the task of the check.
    pub(super) fn stop(&self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
        self.mark_stopped();
    }

    /// Wakes the callers that wait for a run: there will be none.
    pub(super) fn mark_stopped(&self) {
        self.progress.send_modify(|progress| progress.stopped = true);
    }

    /// Reports a change of the outcome.
    pub(super) fn notify_change(&self) {
        (self.changed)();
    }

    /// Waits until `due`, or until a caller requests a run.
    pub(super) async fn wait_until_due(&self, due: Tick) {
        self.state.lock().expected = due + self.every.check_timeout();
        loop {
            let left = due.since(clock::now());
            if left.is_zero() || self.state.lock().requested {
                return;
            }
            // The loop looks which of the two it was.
            let _ = tokio::time::timeout(left, self.wake.notified()).await;
        }
    }

    /// Records the start of a run.
    pub(super) fn run_started(&self, now: Tick) {
        let mut state = self.state.lock();
        state.running = true;
        state.requested = false;
        state.expected = now + self.every.check_timeout();
    }

    /// Discards the failure of a run during which this process stood still. The last outcome counts until the repeated run,
    /// which follows.
    pub(super) fn run_discarded(&self, result: &RunResult, stood: Duration) {
        let mut state = self.state.lock();
        state.expected = Tick(u64::MAX);
        let CheckReport { component, check, .. } = &*state.report;
        let (component, check) = (Arc::clone(component), Arc::clone(check));
        drop(state);
        tracing::info!(
            target: "campanile::health",
            component = &*component,
            check = &*check,
            outcome = result.outcome.as_str(),
            "the run of a check is repeated, because this process stood still for {stood:.1?} of it"
        );
    }

    /// Records the result of a run. Returns the time of its end.
    pub(super) fn run_ended(&self, result: RunResult) -> Tick {
        let RunResult { outcome, message, took } = result;
        let message = message.map(|message| sanitize(&self.texts, &message));
        let (before, report, reported_missing) = {
            let mut state = self.state.lock();
            let reported_missing = std::mem::take(&mut state.reported_missing);
            let before = state.report.outcome;
            if let Some(place) = OUTCOMES.iter().position(|known| *known == outcome) {
                state.counts[place] += 1;
            }
            state.passes_in_a_row = if outcome.is_failure() { 0 } else { state.passes_in_a_row + 1 };
            let failures = if outcome.is_failure() { state.report.failures_in_a_row + 1 } else { 0 };
            let report = Arc::new(CheckReport {
                component: Arc::clone(&state.report.component),
                check: Arc::clone(&state.report.check),
                outcome: self.every.outcome_after(before, outcome, failures, state.passes_in_a_row),
                last: outcome,
                message,
                took,
                at: Some(moment::now()),
                runs: state.report.runs + 1,
                failures: state.report.failures + u64::from(outcome.is_failure()),
                failures_in_a_row: failures,
                passed_once: state.report.passed_once || !outcome.is_failure(),
                timeout: self.every.check_timeout(),
            });
            state.report = Arc::clone(&report);
            state.running = false;
            // Until the next run is scheduled.
            state.expected = Tick(u64::MAX);
            state.overdue = None;
            (before, report, reported_missing)
        };
        self.recorder(&report).record(took);
        // A cached snapshot may still hold the missing result.
        if before != report.outcome || reported_missing {
            self.notify_change();
        }
        self.progress.send_modify(|progress| progress.runs = report.runs);
        log_transition(before, &report);
        clock::now()
    }

    fn recorder(&self, report: &CheckReport) -> Arc<DurationRecorder> {
        let place = OUTCOMES.iter().position(|known| *known == report.last).unwrap_or_default();
        Arc::clone(self.recorders.lock()[place].get_or_insert_with(|| {
            let attributes = [
                ("component", Cow::Owned(report.component.to_string())),
                ("check", Cow::Owned(report.check.to_string())),
                ("outcome", Cow::Borrowed(report.last.as_str())),
            ];
            Arc::new(DurationRecorder::new(&CHECK_DURATION, attributes))
        }))
    }
}

impl Every {
    /// The outcome of a check after a run, by the number of failures and passes in a row.
    fn outcome_after(
        self,
        before: CheckOutcome,
        last: CheckOutcome,
        failures: u64,
        passes: u64,
    ) -> CheckOutcome {
        let counts = match (before, last.is_failure()) {
            // The first pass counts at once.
            (CheckOutcome::Pending, false) => true,
            (before, false) => !before.is_failure() || passes >= u64::from(self.successes),
            (before, true) => before.is_failure() || failures >= u64::from(self.failures),
        };
        if counts { last } else { before }
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("every", &self.every).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_outcome_is_the_last_result_that_came_often_enough_in_a_row(
            failures in 1_u32..4, successes in 1_u32..4, runs in prop::collection::vec(0_usize..OUTCOMES.len(), 0..40),
        ) {
            let entry = Entry::new(
                "c".into(),
                "c".into(),
                Every::seconds(1).failures(failures).successes(successes),
                Box::new(|| ()),
                Texts::default(),
            );
            let results: Vec<CheckOutcome> = runs.into_iter().map(|place| OUTCOMES[place]).collect();
            for until in 1..=results.len() {
                let results = &results[..until];
                let last = results[until - 1];
                entry.run_ended(RunResult { outcome: last, message: None, took: Duration::ZERO });
                let report = entry.report(Tick(0));
                // The last stretch of failures, or of passes, that was long enough decides.
                let mut failing = None;
                let (mut run, mut stretch) = (0, false);
                for outcome in results {
                    run = if outcome.is_failure() == stretch { run + 1 } else { 1 };
                    stretch = outcome.is_failure();
                    let first_pass = failing.is_none() && !stretch;
                    if first_pass || run >= if stretch { failures } else { successes } {
                        failing = Some(stretch);
                    }
                }
                prop_assert_eq!(report.last, last);
                prop_assert_eq!(report.outcome.is_failure(), failing == Some(true));
                prop_assert_eq!(report.outcome == CheckOutcome::Pending, failing.is_none());
                // A result that agrees with the outcome counts at once.
                if failing == Some(last.is_failure()) {
                    prop_assert_eq!(report.outcome, last);
                }
                prop_assert_eq!(report.runs, until as u64);
                prop_assert_eq!(report.failures, results.iter().filter(|run| run.is_failure()).count() as u64);
            }
        }
    }
}

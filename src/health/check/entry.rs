//! What is known of one check, and who waits for more.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::Every;
use super::polling::Polling;
use super::telling::{presentable, tell};
use crate::base::clock::{self, Tick};
use crate::base::moment;
use crate::base::sync::Mutex;
use crate::health::texts::Texts;
use crate::health::{CheckOutcome, CheckReport};
use crate::signal::{CHECK_DURATION, DurationRecorder};

/// A result that is due may come so much later before it counts as missing.
const LATE: Duration = Duration::from_secs(1);

/// A result that is overdue though the check holds no thread is our own fault: the process stood still, or other code
/// keeps the runtime busy. Until that has been seen for so long, what was known counts.
const FORSAKEN: Duration = Duration::from_secs(60);

/// Of the time between two looks that both saw it, no more than this counts: the process may have stood still.
const SEEN: Duration = Duration::from_secs(15);

/// See the [module](self).
pub(super) struct Entry {
    pub(super) every: Every,
    state: Mutex<State>,
    /// Runs that ended, for those who wait for one.
    progress: watch::Sender<Progress>,
    /// Somebody wants a run.
    wake: Notify,
    pub(super) polling: Polling,
    driver: Mutex<Option<AbortHandle>>,
    recorders: Mutex<[Option<Arc<DurationRecorder>>; OUTCOMES.len()]>,
    /// Told when what counts has changed.
    changed: Box<dyn Fn() + Send + Sync>,
    texts: Texts,
}

struct State {
    report: Arc<CheckReport>,
    /// Passes since the last failure.
    passes_in_a_row: u64,
    /// Runs that ended, by outcome.
    counts: [u64; OUTCOMES.len()],
    wanted: bool,
    running: bool,
    /// When the next result is here at the latest.
    expected: Tick,
    /// Who looked last and saw it overdue, and for how long that has been seen.
    overdue: Option<(Tick, Duration)>,
    /// Whether a look was told that it is missing.
    told_missing: bool,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    runs: u64,
    /// Nobody runs it any more.
    over: bool,
}

/// How a run can end, in the order of counters.
pub(super) const OUTCOMES: [CheckOutcome; 5] = [
    CheckOutcome::Pass,
    CheckOutcome::Warn,
    CheckOutcome::Fail,
    CheckOutcome::TimedOut,
    CheckOutcome::Panicked,
];

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ended {
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
            timeout: every.timeout,
        };
        let state = State {
            report: Arc::new(report),
            passes_in_a_row: 0,
            counts: [0; OUTCOMES.len()],
            wanted: false,
            running: false,
            expected: Tick(u64::MAX),
            overdue: None,
            told_missing: false,
        };
        Self {
            every,
            state: Mutex::new(state),
            progress: watch::Sender::default(),
            wake: Notify::new(),
            polling: Polling::default(),
            driver: Mutex::default(),
            recorders: Mutex::default(),
            changed,
            texts,
        }
    }

    // ----- for those who ask -----

    /// What is known at `now`.
    pub(super) fn report(&self, now: Tick) -> Arc<CheckReport> {
        let mut state = self.state.lock();
        let late = now.since(state.expected);
        if late <= LATE {
            state.overdue = None;
            return Arc::clone(&state.report);
        }
        let seen = match state.overdue {
            Some((last, seen)) => seen + now.since(last).min(SEEN),
            None => Duration::ZERO,
        };
        state.overdue = Some((now, seen));
        let hangs = self.polling.stuck_for(now) > self.every.timeout;
        if !hangs && seen < FORSAKEN && !self.progress.borrow().over {
            return Arc::clone(&state.report);
        }
        state.told_missing = true;
        self.missing(&state.report, late)
    }

    /// Runs that ended, by outcome, and what is known at `now`.
    pub(super) fn counts(&self, now: Tick) -> ([u64; OUTCOMES.len()], Arc<CheckReport>) {
        let counts = self.state.lock().counts;
        (counts, self.report(now))
    }

    /// One run. One that is under way will do, unless it is to be `fresh`: begun from now on.
    pub(super) async fn run(&self, fresh: bool) -> Arc<CheckReport> {
        let mut progress = self.progress.subscribe();
        let target = {
            let mut state = self.state.lock();
            let joins = state.running && !fresh;
            if !joins && !state.wanted {
                state.wanted = true;
                self.wake.notify_one();
            }
            state.report.runs + if state.running && fresh { 2 } else { 1 }
        };
        // Cannot fail: the sender is ours.
        let reached = progress.wait_for(|now| now.over || now.runs >= target).await;
        let over = reached.is_ok_and(|now| now.runs < target);
        let report = self.report(clock::now());
        if !over {
            return report;
        }
        let why = "it does not run any more: it was stopped, or the runtime that it ran on has ended";
        Arc::new(CheckReport {
            outcome: CheckOutcome::TimedOut,
            last: CheckOutcome::TimedOut,
            message: Some(why.into()),
            ..CheckReport::clone(&report)
        })
    }

    /// What there is to say when no result came for so long after the last moment for it: a check that blocks its
    /// thread may block those who would say so.
    fn missing(&self, report: &CheckReport, late: Duration) -> Arc<CheckReport> {
        let missed = late.as_nanos() / self.every.interval.as_nanos().max(1) + 1;
        let missed = u64::try_from(missed).unwrap_or(u64::MAX);
        let failures = report.failures_in_a_row.saturating_add(missed);
        let late = Duration::from_secs(late.as_secs());
        let late = humantime::format_duration(late);
        let message = format!(
            "no result, {late} after the last moment for one: its thread is blocked or its runtime gone"
        );
        let believed = failures >= u64::from(self.every.failures) || report.outcome.is_failure();
        Arc::new(CheckReport {
            outcome: if believed { CheckOutcome::TimedOut } else { report.outcome },
            last: CheckOutcome::TimedOut,
            message: Some(message.into()),
            failures_in_a_row: failures,
            ..report.clone()
        })
    }

    // ----- for the one who runs it -----

    /// Who ends when the check is stopped.
    pub(super) fn driven_by(&self, driver: AbortHandle) {
        *self.driver.lock() = Some(driver);
    }

    /// Ends what runs.
    pub(super) fn stop(&self) {
        if let Some(driver) = self.driver.lock().take() {
            driver.abort();
        }
        self.over();
    }

    /// Nobody waits for a run that never comes.
    pub(super) fn over(&self) {
        self.progress.send_modify(|progress| progress.over = true);
    }

    /// What counts is no more what it was.
    pub(super) fn tell_change(&self) {
        (self.changed)();
    }

    /// Waits until it is to run: it is due, or somebody wants it.
    pub(super) async fn turn(&self, due: Tick) {
        self.state.lock().expected = due + self.every.timeout;
        loop {
            let left = due.since(clock::now());
            if left.is_zero() || self.state.lock().wanted {
                return;
            }
            // Whichever it was, the state tells.
            let _ = tokio::time::timeout(left, self.wake.notified()).await;
        }
    }

    /// A run begins.
    pub(super) fn begins(&self, now: Tick) {
        let mut state = self.state.lock();
        state.running = true;
        state.wanted = false;
        state.expected = now + self.every.timeout;
    }

    /// A run that failed, while we stood still for so long: what was known counts until the next, which follows.
    pub(super) fn proved_nothing(&self, ended: &Ended, stood: Duration) {
        let mut state = self.state.lock();
        state.expected = Tick(u64::MAX);
        let CheckReport { component, check, .. } = &*state.report;
        let (component, check) = (Arc::clone(component), Arc::clone(check));
        drop(state);
        tracing::info!(
            target: "campanile::health",
            component = &*component,
            check = &*check,
            outcome = ended.outcome.as_str(),
            "a run of a check does not count: this process did not run for {stood:.1?} of it"
        );
    }

    /// A run ended; gives when.
    pub(super) fn ended(&self, ended: Ended) -> Tick {
        let Ended { outcome, message, took } = ended;
        let message = message.map(|message| presentable(&self.texts, &message));
        let (before, report, told_missing) = {
            let mut state = self.state.lock();
            let told_missing = std::mem::take(&mut state.told_missing);
            let before = state.report.outcome;
            if let Some(place) = OUTCOMES.iter().position(|known| *known == outcome) {
                state.counts[place] += 1;
            }
            state.passes_in_a_row = if outcome.is_failure() { 0 } else { state.passes_in_a_row + 1 };
            let failures = if outcome.is_failure() { state.report.failures_in_a_row + 1 } else { 0 };
            let report = Arc::new(CheckReport {
                component: Arc::clone(&state.report.component),
                check: Arc::clone(&state.report.check),
                outcome: self.every.believed(before, outcome, failures, state.passes_in_a_row),
                last: outcome,
                message,
                took,
                at: Some(moment::now()),
                runs: state.report.runs + 1,
                failures: state.report.failures + u64::from(outcome.is_failure()),
                failures_in_a_row: failures,
                passed_once: state.report.passed_once || !outcome.is_failure(),
                timeout: self.every.timeout,
            });
            state.report = Arc::clone(&report);
            state.running = false;
            // Until the next one is planned.
            state.expected = Tick(u64::MAX);
            state.overdue = None;
            (before, report, told_missing)
        };
        self.recorder(&report).record(took);
        // A snapshot may still say that it is missing.
        if before != report.outcome || told_missing {
            self.tell_change();
        }
        self.progress.send_modify(|progress| progress.runs = report.runs);
        tell(before, &report);
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
    /// What counts, after a run that ended so.
    fn believed(self, before: CheckOutcome, last: CheckOutcome, failures: u64, passes: u64) -> CheckOutcome {
        let believed = match (before, last.is_failure()) {
            // Something is better than nothing.
            (CheckOutcome::Pending, false) => true,
            (before, false) => !before.is_failure() || passes >= u64::from(self.successes),
            (before, true) => before.is_failure() || failures >= u64::from(self.failures),
        };
        if believed { last } else { before }
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
        fn what_is_believed_is_what_was_said_often_enough_without_a_break(
            failures in 1_u32..4, successes in 1_u32..4, runs in prop::collection::vec(0_usize..OUTCOMES.len(), 0..40),
        ) {
            let entry = Entry::new(
                "c".into(),
                "c".into(),
                Every::seconds(1).failures(failures).successes(successes),
                Box::new(|| ()),
                Texts::default(),
            );
            let said: Vec<CheckOutcome> = runs.into_iter().map(|place| OUTCOMES[place]).collect();
            for until in 1..=said.len() {
                let said = &said[..until];
                let last = said[until - 1];
                entry.ended(Ended { outcome: last, message: None, took: Duration::ZERO });
                let report = entry.report(Tick(0));
                // The last stretch of failures, or of passes, that was long enough decides.
                let mut failing = None;
                let (mut run, mut stretch) = (0, false);
                for outcome in said {
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
                // What goes on as it is believed to, is believed at once.
                if failing == Some(last.is_failure()) {
                    prop_assert_eq!(report.outcome, last);
                }
                prop_assert_eq!(report.runs, until as u64);
                prop_assert_eq!(report.failures, said.iter().filter(|run| run.is_failure()).count() as u64);
            }
        }
    }
}

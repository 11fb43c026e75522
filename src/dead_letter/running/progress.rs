//! The progress of one redrive, which its queue shows and can stop.

use std::task::{Context, Waker};
use std::time::{Duration, SystemTime};

use super::report::{RedriveProgress, RedriveReport, RedriveState};
use crate::base::clock::{self, Tick};
use crate::base::moment;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicBool, Ordering};

/// The pace is measured over one to two of these periods.
const MEASURE_PERIOD: Duration = Duration::from_secs(5);

/// The progress of one redrive.
#[derive(Debug)]
pub(in crate::dead_letter) struct Progress {
    started: SystemTime,
    automatic: bool,
    stopping: AtomicBool,
    /// Wakes the run when it is asked to stop.
    waker: Mutex<Option<Waker>>,
    now: Mutex<State>,
}

#[derive(Debug)]
struct State {
    total: u64,
    report: RedriveReport,
    paused_until: Option<SystemTime>,
    /// How much was done at two moments. The pace is measured from the first; later the second replaces it.
    marks: [(Tick, u64); 2],
}

impl Progress {
    pub(in crate::dead_letter) fn new(automatic: bool) -> Self {
        let now = State {
            total: 0,
            report: RedriveReport::default(),
            paused_until: None,
            marks: [(clock::now(), 0); 2],
        };
        Self {
            started: moment::now(),
            automatic,
            stopping: AtomicBool::new(false),
            waker: Mutex::new(None),
            now: Mutex::new(now),
        }
    }

    /// Asks the run to stop.
    pub(in crate::dead_letter) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let waker = self.waker.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn is_automatic(&self) -> bool {
        self.automatic
    }

    pub(in crate::dead_letter) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whether the run must stop. Otherwise the task is woken when it must.
    pub(in crate::dead_letter) fn poll_stopping(&self, cx: &Context<'_>) -> bool {
        match &mut *self.waker.lock() {
            Some(waker) => waker.clone_from(cx.waker()),
            waker => *waker = Some(cx.waker().clone()),
        }
        self.is_stopping()
    }

    pub(in crate::dead_letter) fn set_total(&self, total: u64) {
        self.now.lock().total = total;
    }

    pub(in crate::dead_letter) fn update(&self, change: impl FnOnce(&mut RedriveReport)) {
        let tick = clock::now();
        let mut now = self.now.lock();
        change(&mut now.report);
        if tick.since(now.marks[1].0) >= MEASURE_PERIOD {
            now.marks = [now.marks[1], (tick, now.report.done())];
        }
    }

    pub(in crate::dead_letter) fn pause(&self, until: Option<SystemTime>) {
        self.now.lock().paused_until = until;
    }

    pub(in crate::dead_letter) fn report(&self) -> RedriveReport {
        self.now.lock().report.clone()
    }

    pub(in crate::dead_letter) fn total(&self) -> u64 {
        self.now.lock().total
    }

    pub(in crate::dead_letter) fn read(&self) -> RedriveProgress {
        let tick = clock::now();
        let now = self.now.lock();
        let done = now.report.done();
        let (since, before) = now.marks[0];
        let passed = tick.since(since).as_secs_f64();
        let per_second = if passed > 0.0 { (done - before) as f64 / passed } else { 0.0 };
        let total = if self.automatic { done } else { now.total.max(done) };
        let remaining = (total - done) as f64 / per_second;
        let state = match now.paused_until {
            _ if self.is_stopping() => RedriveState::Stopping,
            Some(until) => RedriveState::Paused { until },
            None => RedriveState::Running,
        };
        RedriveProgress {
            started: self.started,
            automatic: self.automatic,
            total,
            so_far: now.report.clone(),
            per_second,
            remaining: Duration::try_from_secs_f64(remaining).ok().filter(|_| !self.automatic),
            state,
        }
    }
}

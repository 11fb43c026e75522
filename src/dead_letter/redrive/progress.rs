//! The redrives of a queue that are under way, for whoever wants to see or stop them.

use std::sync::{Arc, Weak};
use std::task::{Context, Waker};
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;

use super::report::{RedriveProgress, RedriveReport, RedriveState};
use super::schedule::Schedule;
use super::unsent::Unsent;
use crate::base::clock::{self, Tick};
use crate::base::moment;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::dead_letter::core::Core;

/// A pace is measured over one to two of these.
const MEASURED: Duration = Duration::from_secs(5);

/// All redrives of one queue in this process.
#[derive(Debug, Default)]
pub(in crate::dead_letter) struct Redrives {
    /// How many run: all that a call asks as long as there is none.
    running: AtomicUsize,
    all: Mutex<Vec<Arc<Progress>>>,
    /// What was left to do when runs were dropped.
    leftovers: Mutex<Vec<JoinHandle<()>>>,
    /// When letters are sent by themselves.
    pub(in crate::dead_letter) schedule: Arc<Schedule>,
    /// The letters that could not be sent.
    pub(super) unsent: Unsent,
}

impl Redrives {
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }

    /// Something that the next run has to wait for.
    pub(super) fn leave(&self, leftover: JoinHandle<()>) {
        let mut leftovers = self.leftovers.lock();
        leftovers.retain(|leftover| !leftover.is_finished());
        leftovers.push(leftover);
    }

    /// Waits until runs that were dropped before have let go of what they held.
    pub(super) async fn tidied(&self) {
        let leftovers = std::mem::take(&mut *self.leftovers.lock());
        for leftover in leftovers {
            let _ = leftover.await;
        }
    }

    pub(super) fn progress(&self) -> Vec<RedriveProgress> {
        self.all.lock().iter().map(|progress| progress.read()).collect()
    }

    /// Asks those that somebody started by hand to stop, and tells how many they are.
    pub(super) fn stop(&self) -> usize {
        let all = self.all.lock();
        all.iter().filter(|progress| !progress.automatic).map(|progress| progress.stop()).count()
    }
}

/// How one redrive is doing.
#[derive(Debug)]
pub(super) struct Progress {
    started: SystemTime,
    automatic: bool,
    stopping: AtomicBool,
    /// The run, which waits for something.
    run: Mutex<Option<Waker>>,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    total: u64,
    report: RedriveReport,
    paused_until: Option<SystemTime>,
    /// How much was done at two moments: the pace is measured from the first, which the second will replace.
    marks: [(Tick, u64); 2],
}

impl Progress {
    pub(super) fn new(automatic: bool) -> Self {
        let now = Now {
            total: 0,
            report: RedriveReport::default(),
            paused_until: None,
            marks: [(clock::now(), 0); 2],
        };
        Self {
            started: moment::now(),
            automatic,
            stopping: AtomicBool::new(false),
            run: Mutex::new(None),
            now: Mutex::new(now),
        }
    }

    /// Asks the run to stop.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let run = self.run.lock().take();
        if let Some(run) = run {
            run.wake();
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whether the run shall stop; else it is woken when it shall.
    pub(super) fn poll_stopping(&self, cx: &Context<'_>) -> bool {
        match &mut *self.run.lock() {
            Some(run) => run.clone_from(cx.waker()),
            run => *run = Some(cx.waker().clone()),
        }
        self.is_stopping()
    }

    pub(super) fn set_total(&self, total: u64) {
        self.now.lock().total = total;
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut RedriveReport)) {
        let tick = clock::now();
        let mut now = self.now.lock();
        change(&mut now.report);
        if tick.since(now.marks[1].0) >= MEASURED {
            now.marks = [now.marks[1], (tick, now.report.done())];
        }
    }

    pub(super) fn pause(&self, until: Option<SystemTime>) {
        self.now.lock().paused_until = until;
    }

    pub(super) fn report(&self) -> RedriveReport {
        self.now.lock().report.clone()
    }

    pub(super) fn total(&self) -> u64 {
        self.now.lock().total
    }

    pub(super) fn read(&self) -> RedriveProgress {
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

/// A redrive on the list of its queue, until this is dropped.
pub(super) struct Listed {
    /// One in the background must not keep its queue.
    core: Weak<Core>,
    progress: Arc<Progress>,
}

impl Listed {
    pub(super) fn new(core: &Arc<Core>, progress: &Arc<Progress>) -> Self {
        core.redrives.running.fetch_add(1, Ordering::AcqRel);
        core.redrives.all.lock().push(Arc::clone(progress));
        Self { core: Arc::downgrade(core), progress: Arc::clone(progress) }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let Some(core) = self.core.upgrade() else {
            return;
        };
        core.redrives.running.fetch_sub(1, Ordering::AcqRel);
        core.redrives.all.lock().retain(|other| !Arc::ptr_eq(other, &self.progress));
    }
}

//! The threads that read the sources.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use super::reading::Done;
use super::rhythm::Rhythm;
use super::source::{Note, Scheduled, State};
use super::state::{Activity, GRACE, Reader, ScheduleState};
use crate::base::clock::{self, Tick};
use crate::base::panics::catch;
use crate::base::sync::{Mutex, MutexGuard};
use crate::sampler::latest::Latest;
use crate::sampler::probe::Plan;

/// How long a thread sleeps if nothing is due.
const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);

/// The threads. They stop when it is dropped.
pub(in crate::sampler) struct Running {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<ScheduleState>,
    /// Notified when a thread must wake early, and when the threads stop.
    wake: Condvar,
    /// Weak, so that a thread that hangs does not keep the values alive.
    latest: Weak<Latest>,
}

impl Running {
    pub(in crate::sampler) fn start(plans: Vec<Plan>, latest: &Arc<Latest>) -> io::Result<Self> {
        let state = ScheduleState {
            sources: plans.into_iter().map(Scheduled::new).collect(),
            readers: Vec::new(),
            leader: None,
            started: 0,
            rhythm: Rhythm::random(),
            stopped: false,
        };
        let shared =
            Shared { state: Mutex::new(state), wake: Condvar::new(), latest: Arc::downgrade(latest) };
        let shared = Arc::new(shared);
        shared.start_reader(&mut shared.state.lock())?;
        Ok(Self { shared })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.stopped = true;
        self.shared.wake.notify_all();
        // A sleeping thread ends at once. The thread of a source that hangs is not waited for.
        let waits =
            |state: &mut ScheduleState| state.readers.iter().any(|reader| reader.activity != Activity::Ended);
        let (mut state, _) =
            self.shared.wake.wait_timeout_while(state, GRACE, waits).unwrap_or_else(PoisonError::into_inner);
        let readers = std::mem::take(&mut state.readers);
        drop(state);
        for reader in readers.into_iter().filter(|reader| reader.activity == Activity::Ended) {
            // Its panics were caught.
            let _ = reader.thread.join();
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

// ===== a thread =====

impl Shared {
    fn start_reader(self: &Arc<Self>, state: &mut ScheduleState) -> io::Result<()> {
        state.started += 1;
        let (id, shared) = (state.started, Arc::clone(self));
        let thread = thread::Builder::new().name("campanile-sampler".into()).spawn(move || shared.run(id))?;
        // It is awake, and is about to take the lock.
        state.readers.push(Reader { id, thread, activity: Activity::Idle(Tick(0)) });
        Ok(())
    }

    fn run(self: &Arc<Self>, id: u64) {
        let mut orphan = None;
        let mut state = self.state.lock();
        while !state.stopped {
            let now = clock::now();
            if let Some((source, note)) = state.give_up_overdue(now) {
                self.failed(source);
                state = self.log(state, id, now, note.into_iter().collect());
            } else if let Some(job) = state.take(now) {
                self.step_out(&mut state, id, now);
                drop(state);
                let done = job.read();
                let now = clock::now();
                state = self.state.lock();
                state.set(id, Activity::Idle(now));
                if state.stopped {
                    orphan = done.probe;
                    break;
                }
                let notes = self.settle(&mut state, done, now);
                state = self.log(state, id, now, notes);
            } else if state.is_surplus(id) {
                return state.readers.retain(|reader| reader.id != id);
            } else {
                state = self.sleep(state, id, now);
            }
        }
        // Outside the lock, because the drop of a probe may do anything.
        let sources = std::mem::take(&mut state.sources);
        drop(state);
        forget_panic(|| drop(orphan));
        sources.into_iter().for_each(|source| forget_panic(|| drop(source)));
        self.state.lock().set(id, Activity::Ended);
        self.wake.notify_all();
    }

    /// Makes sure that another thread takes over, because this one may not return from what it does now.
    fn step_out(self: &Arc<Self>, state: &mut ScheduleState, id: u64, now: Tick) {
        state.set(id, Activity::Busy(now));
        if state.leader == Some(id) {
            state.leader = None;
        }
        let idle = |reader: &Reader| match reader.activity {
            Activity::Idle(until) => Some(until),
            Activity::Busy(_) | Activity::Ended => None,
        };
        match state.readers.iter().filter_map(idle).min() {
            // If no thread can be started, the other sources wait for this one.
            None => _ = self.start_reader(state),
            Some(until) if until > now + GRACE * 2 => self.wake.notify_all(),
            Some(_) => {}
        }
    }

    fn settle(&self, state: &mut ScheduleState, done: Done, now: Tick) -> Vec<Note> {
        // Another thread took over while this one was reading.
        if state.leader.is_some() {
            self.wake.notify_all();
        }
        let rhythm = state.rhythm;
        // There are none after the end.
        let Some(source) = state.sources.get_mut(done.source) else { return Vec::new() };
        source.probe = done.probe;
        match (source.state, done.result) {
            (State::Overdue, _) => {
                // Its failure was counted, and its values are too old. It may be read again.
                source.state = State::Due(source.after_a_pause(now, rhythm));
                Vec::new()
            }
            (_, Ok(sample)) => {
                let Some(latest) = self.latest.upgrade() else { return Vec::new() };
                let parts = source.part_notes(&sample.failures);
                source.reusable = latest.store(done.source, now, done.took, sample);
                source.succeeded(done.started, now, rhythm).into_iter().chain(parts).collect()
            }
            (_, Err(error)) => {
                self.failed(done.source);
                source.failed(now, rhythm, error).into_iter().collect()
            }
        }
    }

    fn failed(&self, source: usize) {
        if let Some(latest) = self.latest.upgrade() {
            latest.failed(source);
        }
    }

    /// Logs without the lock, because the subscriber may do anything.
    fn log<'a>(
        self: &'a Arc<Self>,
        mut state: MutexGuard<'a, ScheduleState>,
        id: u64,
        now: Tick,
        notes: Vec<Note>,
    ) -> MutexGuard<'a, ScheduleState> {
        if notes.is_empty() {
            return state;
        }
        self.step_out(&mut state, id, now);
        drop(state);
        notes.into_iter().for_each(|note| forget_panic(|| note.log()));
        let mut state = self.state.lock();
        state.set(id, Activity::Idle(now));
        state
    }

    fn sleep<'a>(
        &'a self,
        mut state: MutexGuard<'a, ScheduleState>,
        id: u64,
        now: Tick,
    ) -> MutexGuard<'a, ScheduleState> {
        let leads = *state.leader.get_or_insert(id) == id;
        let until = state.next_event(leads).unwrap_or(now + LONGEST_SLEEP);
        state.set(id, Activity::Idle(until));
        let (state, _) = self
            .wake
            .wait_timeout(state, until.since(now).min(LONGEST_SLEEP))
            .unwrap_or_else(PoisonError::into_inner);
        state
    }
}

/// Ignores a panic in code outside this crate that does not affect the readings.
fn forget_panic(user: impl FnOnce()) {
    drop(catch(user));
}

//! Who reads when: threads that take turns.
//!
//! One thread waits for the next source that is due, and reads all that are, one after the other: a rhythm of 10 s
//! wakes it once in 10 s, whatever the number of sources. A second one wakes a little later, and as a rule finds nothing to do. When a source holds
//! the first one up, the second one reads what is left, and a third one is started that watches it in turn. A thread
//! that comes back when there are enough of them ends. So there are two threads as long as all sources answer, and
//! never more than one for each source and one besides.

mod reading;
mod rhythm;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use self::reading::{Done, Job};
use self::rhythm::Rhythm;
use self::source::{Note, Scheduled, State};
use super::latest::Latest;
use super::probe::{Plan, ProbeError};
use crate::base::clock::{self, Tick};
use crate::base::panics::catch;
use crate::base::sync::{Mutex, MutexGuard};

/// A reader that is busy with one source for longer does not get to the others: another one takes over.
const GRACE: Duration = Duration::from_millis(50);
/// The one that watches wakes so much after the reader: a little more than it has to wait.
const WATCH: Duration = Duration::from_millis(55);
/// How long a thread sleeps that has nothing to wait for.
const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);

/// The threads, until it is dropped.
pub(super) struct Running {
    shared: Arc<Shared>,
}

struct Shared {
    board: Mutex<Board>,
    /// Rung when a thread has to look at the board again before it meant to, and at the end.
    bell: Condvar,
    /// Weak: a thread that hangs for good keeps no values in sight.
    latest: Weak<Latest>,
}

struct Board {
    sources: Vec<Scheduled>,
    readers: Vec<Reader>,
    /// Who reads what is due next; `None` as long as it is busy.
    leader: Option<u64>,
    started: u64,
    rhythm: Rhythm,
    stopped: bool,
}

/// A thread.
struct Reader {
    id: u64,
    thread: JoinHandle<()>,
    doing: Doing,
}

#[derive(Clone, Copy, PartialEq)]
enum Doing {
    /// It sleeps until then.
    Idle(Tick),
    /// It reads a source, or logs, since then.
    Busy(Tick),
    Ended,
}

impl Running {
    pub(super) fn start(plans: Vec<Plan>, latest: &Arc<Latest>) -> io::Result<Self> {
        let board = Board {
            sources: plans.into_iter().map(Scheduled::new).collect(),
            readers: Vec::new(),
            leader: None,
            started: 0,
            rhythm: Rhythm::by_chance(),
            stopped: false,
        };
        let shared =
            Shared { board: Mutex::new(board), bell: Condvar::new(), latest: Arc::downgrade(latest) };
        let shared = Arc::new(shared);
        shared.start_reader(&mut shared.board.lock())?;
        Ok(Self { shared })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut board = self.shared.board.lock();
        board.stopped = true;
        self.shared.bell.notify_all();
        // A thread that sleeps ends at once. A source that hangs keeps its thread, which is not waited for.
        let waits = |board: &mut Board| board.readers.iter().any(|reader| reader.doing != Doing::Ended);
        let (mut board, _) =
            self.shared.bell.wait_timeout_while(board, GRACE, waits).unwrap_or_else(PoisonError::into_inner);
        let readers = std::mem::take(&mut board.readers);
        drop(board);
        for reader in readers.into_iter().filter(|reader| reader.doing == Doing::Ended) {
            // What it might have panicked with has been dealt with.
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
    fn start_reader(self: &Arc<Self>, board: &mut Board) -> io::Result<()> {
        board.started += 1;
        let (id, shared) = (board.started, Arc::clone(self));
        let thread = thread::Builder::new().name("campanile-sampler".into()).spawn(move || shared.run(id))?;
        // Awake, and about to look at the board.
        board.readers.push(Reader { id, thread, doing: Doing::Idle(Tick(0)) });
        Ok(())
    }

    fn run(self: &Arc<Self>, id: u64) {
        let mut orphan = None;
        let mut board = self.board.lock();
        while !board.stopped {
            let now = clock::now();
            if let Some((source, note)) = board.give_up_overdue(now) {
                self.failed(source);
                board = self.log(board, id, now, note.into_iter().collect());
            } else if let Some(job) = board.take(now) {
                self.step_out(&mut board, id, now);
                drop(board);
                let done = job.read();
                let now = clock::now();
                board = self.board.lock();
                board.set(id, Doing::Idle(now));
                if board.stopped {
                    orphan = done.probe;
                    break;
                }
                let notes = self.settle(&mut board, done, now);
                board = self.log(board, id, now, notes);
            } else if board.is_surplus(id) {
                return board.readers.retain(|reader| reader.id != id);
            } else {
                board = self.sleep(board, id, now);
            }
        }
        // Outside the lock: probes may do anything when they go.
        let sources = std::mem::take(&mut board.sources);
        drop(board);
        forget_panic(|| drop(orphan));
        sources.into_iter().for_each(|source| forget_panic(|| drop(source)));
        self.board.lock().set(id, Doing::Ended);
        self.bell.notify_all();
    }

    /// Makes another thread take over from a reader that may not come back from what it does now.
    fn step_out(self: &Arc<Self>, board: &mut Board, id: u64, now: Tick) {
        board.set(id, Doing::Busy(now));
        if board.leader == Some(id) {
            board.leader = None;
        }
        let idle = |reader: &Reader| match reader.doing {
            Doing::Idle(until) => Some(until),
            Doing::Busy(_) | Doing::Ended => None,
        };
        match board.readers.iter().filter_map(idle).min() {
            // Without another thread the others have to wait until this one is back.
            None => _ = self.start_reader(board),
            Some(until) if until > now + GRACE * 2 => self.bell.notify_all(),
            Some(_) => {}
        }
    }

    fn settle(&self, board: &mut Board, done: Done, now: Tick) -> Vec<Note> {
        // No thread leads while the leader reads; one does when this one was given up.
        if board.leader.is_some() {
            self.bell.notify_all();
        }
        let rhythm = board.rhythm;
        // None are left after the end.
        let Some(source) = board.sources.get_mut(done.source) else { return Vec::new() };
        source.probe = done.probe;
        match (source.state, done.result) {
            (State::Overdue, _) => {
                // Its failure is counted and its values are from who knows when; it may try again.
                source.state = State::Due(source.after_a_pause(now, rhythm));
                Vec::new()
            }
            (_, Ok(sample)) => {
                let Some(latest) = self.latest.upgrade() else { return Vec::new() };
                let parts = source.parts(&sample.failures);
                source.spare = latest.store(done.source, now, done.took, sample);
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

    /// Says it without the lock: the subscriber is not ours.
    fn log<'a>(
        self: &'a Arc<Self>,
        mut board: MutexGuard<'a, Board>,
        id: u64,
        now: Tick,
        notes: Vec<Note>,
    ) -> MutexGuard<'a, Board> {
        if notes.is_empty() {
            return board;
        }
        self.step_out(&mut board, id, now);
        drop(board);
        notes.into_iter().for_each(|note| forget_panic(|| note.log()));
        let mut board = self.board.lock();
        board.set(id, Doing::Idle(now));
        board
    }

    fn sleep<'a>(&'a self, mut board: MutexGuard<'a, Board>, id: u64, now: Tick) -> MutexGuard<'a, Board> {
        let leads = *board.leader.get_or_insert(id) == id;
        let until = board.next_event(leads).unwrap_or(now + LONGEST_SLEEP);
        board.set(id, Doing::Idle(until));
        let (board, _) = self
            .bell
            .wait_timeout(board, until.since(now).min(LONGEST_SLEEP))
            .unwrap_or_else(PoisonError::into_inner);
        board
    }
}

/// What panics here has nothing to do with what is read.
fn forget_panic(user: impl FnOnce()) {
    drop(catch(user));
}

// ===== the board =====

impl Board {
    fn set(&mut self, id: u64, doing: Doing) {
        if let Some(reader) = self.readers.iter_mut().find(|reader| reader.id == id) {
            reader.doing = doing;
        }
    }

    /// The source that is due first. One that failed comes after the others: it may hold up its reader.
    fn next(&self, now: Option<Tick>) -> Option<(usize, Tick)> {
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
    fn left_to_others(&self) -> Tick {
        let until = |reader: &Reader| match reader.doing {
            Doing::Busy(since) => Some(since + GRACE),
            Doing::Idle(_) | Doing::Ended => None,
        };
        self.readers.iter().filter_map(until).max().unwrap_or_default()
    }

    /// The next source to read, if it is due and not left to others.
    fn take(&mut self, now: Tick) -> Option<Job> {
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
            sample: source.spare.take().unwrap_or_default(),
            started: now,
        })
    }

    /// Gives up one source that has not answered in time, and says which.
    fn give_up_overdue(&mut self, now: Tick) -> Option<(usize, Option<Note>)> {
        let overdue = |source: &Scheduled| matches!(source.state, State::Reading(until) if until <= now);
        let place = self.sources.iter().position(overdue)?;
        let source = self.sources.get_mut(place)?;
        let error = ProbeError(format!("no answer within {:?}", source.plan.deadline).into());
        let note = source.failed(now, self.rhythm, error);
        source.state = State::Overdue;
        Some((place, note))
    }

    /// When a thread that sleeps has to look again.
    fn next_event(&self, leads: bool) -> Option<Tick> {
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
    fn is_surplus(&self, id: u64) -> bool {
        let idle = self.readers.iter().filter(|reader| matches!(reader.doing, Doing::Idle(_)));
        idle.count() > 2 && self.leader != Some(id)
    }
}

//! What became of the attempts that were made inside of a call.
//!
//! A retry knows of attempts and not who wants to know of them; a dead letter wants to know and does not see them.
//! Between them lies this: while a [`Record`] watches a future, a retry that runs in it writes down what failed.
//! It is a place of the thread, taken away after each poll, so nothing is shared, and a call that goes well pays for
//! a byte that is set and set back. A retry behind a spawned task is not seen.
//!
//! Of several retries in one call, one is told of: of one inside another the outer, of one after another the last
//! that failed. What a retry writes is gone when it gets through in the end.

mod said;

pub(crate) use said::{MESSAGE, Said};

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use crate::clock::{self, Tick};
use crate::moment;
use crate::outcome::FailureKind;

/// The attempts that are kept: the first, and the last ones.
pub(crate) const KEPT: usize = 32;

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tried {
    /// When it failed.
    pub(crate) at: SystemTime,
    pub(crate) took: Duration,
    pub(crate) kind: FailureKind,
    pub(crate) error_type: String,
    pub(crate) message: String,
}

/// The attempts of one retry.
#[derive(Debug, Default)]
struct Log {
    /// Which retry; none once it has got through.
    course: Option<Course>,
    /// It has given up.
    over: bool,
    /// It was dropped on its way.
    gone: bool,
    tried: Vec<Tried>,
    /// All of them, those that are not kept included.
    count: u32,
    /// When the attempt under way began; none between two.
    under_way: Option<Tick>,
}

/// What tells a retry from another that runs at the same time: where it is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Course(usize);

impl Course {
    pub(crate) fn of<T>(at: &T) -> Self {
        Self(std::ptr::from_ref(at).addr())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody wants to know.
    Off,
    /// Nothing is written yet, so there is no log.
    Empty,
    Written,
}

thread_local! {
    static STATE: Cell<State> = const { Cell::new(State::Off) };
    static LOG: Cell<Option<Box<Log>>> = const { Cell::new(None) };
}

fn swap_log(log: Option<Box<Log>>) -> Option<Box<Log>> {
    // A thread that ends has none any more.
    LOG.try_with(|place| place.replace(log)).ok().flatten()
}

/// The attempts inside of one call.
#[derive(Debug, Default)]
pub(crate) struct Record(Option<Box<Log>>);

impl Record {
    /// Writes down the attempts that fail while `work` runs. What is written in a record inside of it stays there.
    #[inline]
    pub(crate) fn during<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let own = if self.0.is_some() { State::Written } else { State::Empty };
        let outer = STATE.replace(own);
        let kept =
            if outer == State::Written || own == State::Written { swap_log(self.0.take()) } else { None };
        let _back = Back { record: self, outer, kept };
        work()
    }

    /// The last attempt that a retry has told of and that nobody refused on its way.
    pub(crate) fn arrived(&self) -> Option<&Tried> {
        let log = self.0.as_ref().filter(|log| log.course.is_some())?;
        log.tried.iter().rev().find(|tried| tried.kind != FailureKind::Rejected)
    }

    /// The failed attempts of a call that has failed now, the last of them included, and how many there were.
    /// `alone` is that attempt where no retry has told of it.
    pub(crate) fn end(self, alone: Tried) -> (Vec<Tried>, u32) {
        // Of one attempt the caller knows better.
        let tells = |log: &Log| log.course.is_some() && !(log.over && log.count == 1);
        let Some(mut log) = self.0.filter(|log| tells(log)) else {
            return (vec![alone], 1);
        };
        if !log.over
            && let Some(began) = log.under_way.take()
        {
            // It was ended from outside: by a timeout, or its own panic.
            let took = clock::now().since(began);
            log.push(Tried { took, ..alone });
        }
        (log.tried, log.count)
    }
}

/// Puts back what the thread had, also when somebody panics.
struct Back<'a> {
    record: &'a mut Record,
    outer: State,
    kept: Option<Box<Log>>,
}

impl Drop for Back<'_> {
    #[inline]
    fn drop(&mut self) {
        let own = STATE.replace(self.outer);
        if own == State::Written || self.outer == State::Written {
            self.record.0 = swap_log(self.kept.take());
        }
    }
}

impl Log {
    fn push(&mut self, tried: Tried) {
        keep(&mut self.tried, tried);
        self.count = self.count.saturating_add(1);
    }
}

/// Adds one more, and keeps the first and the last.
pub(crate) fn keep<T>(tried: &mut Vec<T>, one: T) {
    tried.push(one);
    if tried.len() > KEPT {
        tried.remove(1);
    }
}

/// Whether somebody wants to know of attempts that fail here.
#[inline]
pub(crate) fn wanted() -> bool {
    STATE.get() != State::Off
}

/// The attempt of `course` that began at `began` has failed; `first` is its first. Tells whether it was written down.
#[cold]
pub(crate) fn failed(
    course: Course,
    first: bool,
    began: Tick,
    kind: FailureKind,
    said: impl FnOnce() -> Said,
) -> bool {
    let mut log = swap_log(None).unwrap_or_default();
    let is_own = log.course == Some(course);
    // One that goes on is around this one, or beside it and was here before.
    let told = is_own || log.course.is_none() || log.over || log.gone;
    if told {
        if !is_own || first {
            *log = Log { course: Some(course), ..Log::default() };
        }
        // One that nobody timed never waited.
        let took = if began == Tick::default() { Duration::ZERO } else { clock::now().since(began) };
        let Said { error_type, message, causes: _ } = said();
        log.push(Tried { at: moment::now(), took, kind, error_type, message });
        log.under_way = None;
    }
    swap_log(Some(log));
    STATE.set(State::Written);
    told
}

/// The next attempt of `course` begins, which has told of one before.
#[cold]
pub(crate) fn begins(course: Course, now: Tick) {
    with(course, |log| log.under_way = Some(now));
}

/// `course`, which has told of an attempt, makes no other.
#[cold]
pub(crate) fn gives_up(course: Course) {
    with(course, |log| (log.over, log.under_way) = (true, None));
}

/// `course`, which has told of an attempt, got through.
#[cold]
pub(crate) fn gets_through(course: Course) {
    with(course, |log| *log = Log::default());
}

/// `course`, which has told of an attempt, is dropped on its way.
#[cold]
pub(crate) fn is_dropped(course: Course) {
    with(course, |log| log.gone = true);
}

fn with(course: Course, change: impl FnOnce(&mut Log)) {
    if STATE.get() != State::Written {
        return;
    }
    if let Some(mut log) = swap_log(None) {
        if log.course == Some(course) {
            change(&mut log);
        }
        swap_log(Some(log));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Course = Course(1);
    const B: Course = Course(2);

    fn alone() -> Tried {
        tried("alone")
    }

    fn tried(message: &str) -> Tried {
        Tried {
            at: SystemTime::UNIX_EPOCH,
            took: Duration::ZERO,
            kind: FailureKind::Error,
            error_type: "E".to_owned(),
            message: message.to_owned(),
        }
    }

    fn fail(course: Course, number: u32) -> bool {
        let said = || Said::new("E", &format!("{}:{number}", course.0));
        failed(course, number == 1, Tick::default(), FailureKind::Error, said)
    }

    /// What is told after `work`, by the messages, and the count of all.
    fn told(work: impl FnOnce()) -> (Vec<String>, u32) {
        let (mut record, before) = (Record::default(), wanted());
        record.during(work);
        let (tried, count) = record.end(alone());
        assert_eq!(wanted(), before, "nothing stays with the thread");
        (tried.into_iter().map(|tried| tried.message).collect(), count)
    }

    fn expect(messages: &[&str], count: u32, work: impl FnOnce()) {
        assert_eq!(told(work), (messages.iter().map(|&message| message.to_owned()).collect(), count));
    }

    #[test]
    fn a_call_without_a_retry_is_one_attempt() {
        expect(&["alone"], 1, || assert!(wanted()));
        expect(&["alone"], 1, || {
            fail(A, 1);
            gives_up(A);
        });
    }

    #[test]
    fn attempts_are_told_over_several_polls() {
        let mut record = Record::default();
        record.during(|| assert!(fail(A, 1)));
        record.during(|| begins(A, Tick::default()));
        record.during(|| {
            assert!(fail(A, 2));
            gives_up(A);
        });
        assert_eq!(record.end(alone()).1, 2);
    }

    #[test]
    fn of_one_inside_another_the_outer_is_told_of() {
        expect(&["1:1", "1:2"], 2, || {
            for attempt in 1..=2 {
                let inner = Course(10 + attempt as usize);
                assert_eq!(fail(inner, 1), attempt == 1);
                fail(inner, 2);
                gives_up(inner);
                assert!(fail(A, attempt));
            }
            gives_up(A);
        });
    }

    #[test]
    fn of_one_after_another_the_last_that_failed_is_told_of() {
        expect(&["2:1", "2:2"], 2, || {
            for course in [A, B] {
                (1..=2).for_each(|number| assert!(fail(course, number)));
                gives_up(course);
            }
        });
        expect(&["alone"], 1, || {
            fail(A, 1);
            gets_through(A);
        });
    }

    #[test]
    fn an_attempt_that_is_ended_from_outside_is_the_last() {
        expect(&["1:1", "alone"], 2, || {
            fail(A, 1);
            begins(A, Tick::default());
            is_dropped(A);
        });
        // It waited for its next attempt.
        expect(&["1:1"], 1, || {
            fail(A, 1);
            is_dropped(A);
        });
        // Another begins after it.
        expect(&["2:1", "2:2"], 2, || {
            fail(A, 1);
            is_dropped(A);
            fail(B, 1);
            fail(B, 2);
            gives_up(B);
        });
    }

    #[test]
    fn the_first_and_the_last_are_kept() {
        let (messages, count) = told(|| (1..=100).for_each(|number| assert!(fail(A, number))));
        assert_eq!((messages.len(), count), (KEPT, 100));
        assert_eq!((messages[0].as_str(), messages[1].as_str()), ("1:1", "1:70"));
        assert_eq!(messages[KEPT - 1], "1:100");
    }

    #[test]
    fn a_record_inside_of_another_keeps_its_own() {
        expect(&["1:1", "1:2"], 2, || {
            fail(A, 1);
            expect(&["2:1", "2:2"], 2, || {
                fail(B, 1);
                fail(B, 2);
            });
            fail(A, 2);
            gives_up(A);
        });
    }

    #[test]
    fn a_panic_leaves_nothing_behind() {
        let mut record = Record::default();
        let panicked = crate::panics::catch(|| {
            record.during(|| {
                fail(A, 1);
                begins(A, Tick::default());
                panic!("on purpose");
            });
        });
        assert!(panicked.is_err() && !wanted());
        assert_eq!(record.end(alone()).1, 2);
    }
}

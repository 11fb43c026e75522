//! A record of the attempts inside of a call.
//!
//! A dead letter lists the attempts of the retries inside it. While a [`Record`] is open around the poll of a future, a retry
//! in it writes down failed attempts. The record is a thread-local value that is taken back after each poll, so nothing is
//! shared, and a call that succeeds pays for one byte that is set and reset. A retry behind a spawned task is not seen.
//!
//! Of several retries in one call, one is recorded: the outer of nested ones, the last failed one of consecutive ones. The
//! record of a retry that succeeds in the end is removed.

mod said;

pub(crate) use said::{MESSAGE, Said};

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use crate::base::clock::{self, Tick};
use crate::base::moment;
use crate::base::outcome::FailureKind;

/// The number of attempts that are kept: the first, and the last ones.
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
    /// The retry; `None` after its success.
    retry: Option<RetryId>,
    /// It has given up.
    over: bool,
    /// It was dropped on its way.
    gone: bool,
    tried: Vec<Tried>,
    /// The number of all attempts, including those that are not kept.
    count: u32,
    /// The start of the running attempt; `None` between two.
    under_way: Option<Tick>,
}

/// Identifies a running retry by its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetryId(usize);

impl RetryId {
    pub(crate) fn of<T>(at: &T) -> Self {
        Self(std::ptr::from_ref(at).addr())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No record is open.
    Off,
    /// The open record is empty, so there is no log.
    Empty,
    Written,
}

thread_local! {
    static STATE: Cell<State> = const { Cell::new(State::Off) };
    static LOG: Cell<Option<Box<Log>>> = const { Cell::new(None) };
}

fn swap_log(log: Option<Box<Log>>) -> Option<Box<Log>> {
    // A thread that ends has no thread-local values any more.
    LOG.try_with(|place| place.replace(log)).ok().flatten()
}

/// The attempts inside of one call.
#[derive(Debug, Default)]
pub(crate) struct Record(Option<Box<Log>>);

impl Record {
    /// Records the attempts that fail while `work` runs, except those in a nested record.
    #[inline]
    pub(crate) fn during<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let own = if self.0.is_some() { State::Written } else { State::Empty };
        let outer = STATE.replace(own);
        let kept =
            if outer == State::Written || own == State::Written { swap_log(self.0.take()) } else { None };
        let _back = Back { record: self, outer, kept };
        work()
    }

    /// The last recorded attempt that was not rejected by a layer.
    pub(crate) fn arrived(&self) -> Option<&Tried> {
        let log = self.0.as_ref().filter(|log| log.retry.is_some())?;
        log.tried.iter().rev().find(|tried| tried.kind != FailureKind::Rejected)
    }

    /// Returns the failed attempts of a call that has failed, including the last, and their number. `alone` is the single
    /// attempt if no retry has recorded any.
    pub(crate) fn end(self, alone: Tried) -> (Vec<Tried>, u32) {
        // For a single attempt, the caller knows more.
        let tells = |log: &Log| log.retry.is_some() && !(log.over && log.count == 1);
        let Some(mut log) = self.0.filter(|log| tells(log)) else {
            return (vec![alone], 1);
        };
        if !log.over
            && let Some(began) = log.under_way.take()
        {
            // It was ended by a time-out further out, or by a panic.
            let took = clock::now().since(began);
            log.push(Tried { took, ..alone });
        }
        (log.tried, log.count)
    }
}

/// Restores the thread's state, also after a panic.
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

/// Adds an attempt; keeps the first and the last ones.
pub(crate) fn keep<T>(tried: &mut Vec<T>, one: T) {
    tried.push(one);
    if tried.len() > KEPT {
        tried.remove(1);
    }
}

/// Whether a record is open on this thread.
#[inline]
pub(crate) fn wanted() -> bool {
    STATE.get() != State::Off
}

/// Records that the attempt of `retry` that started at `began` has failed; `first` is set for its first. Returns whether
/// it was recorded.
#[cold]
pub(crate) fn failed(
    retry: RetryId,
    first: bool,
    began: Tick,
    kind: FailureKind,
    said: impl FnOnce() -> Said,
) -> bool {
    let mut log = swap_log(None).unwrap_or_default();
    let is_own = log.retry == Some(retry);
    // Another running retry is outside of this one, or beside it and came first.
    let told = is_own || log.retry.is_none() || log.over || log.gone;
    if told {
        if !is_own || first {
            *log = Log { retry: Some(retry), ..Log::default() };
        }
        // An attempt without a start was never pending.
        let took = if began == Tick::default() { Duration::ZERO } else { clock::now().since(began) };
        let Said { error_type, message, causes: _ } = said();
        log.push(Tried { at: moment::now(), took, kind, error_type, message });
        log.under_way = None;
    }
    swap_log(Some(log));
    STATE.set(State::Written);
    told
}

/// The next attempt of `retry` starts; an earlier one is recorded.
#[cold]
pub(crate) fn begins(retry: RetryId, now: Tick) {
    with(retry, |log| log.under_way = Some(now));
}

/// `retry`, which has a recorded attempt, makes no other.
#[cold]
pub(crate) fn gives_up(retry: RetryId) {
    with(retry, |log| (log.over, log.under_way) = (true, None));
}

/// `retry`, which has a recorded attempt, succeeded.
#[cold]
pub(crate) fn gets_through(retry: RetryId) {
    with(retry, |log| *log = Log::default());
}

/// `retry`, which has a recorded attempt, is dropped.
#[cold]
pub(crate) fn is_dropped(retry: RetryId) {
    with(retry, |log| log.gone = true);
}

fn with(retry: RetryId, change: impl FnOnce(&mut Log)) {
    if STATE.get() != State::Written {
        return;
    }
    if let Some(mut log) = swap_log(None) {
        if log.retry == Some(retry) {
            change(&mut log);
        }
        swap_log(Some(log));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: RetryId = RetryId(1);
    const B: RetryId = RetryId(2);

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

    fn fail(retry: RetryId, number: u32) -> bool {
        let said = || Said::new("E", &format!("{}:{number}", retry.0));
        failed(retry, number == 1, Tick::default(), FailureKind::Error, said)
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
                let inner = RetryId(10 + attempt as usize);
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
            for retry in [A, B] {
                (1..=2).for_each(|number| assert!(fail(retry, number)));
                gives_up(retry);
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
        let panicked = crate::base::panics::catch(|| {
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

//! The record of the failed attempts of one call.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use super::error_text::ErrorText;
use crate::base::clock::{self, Tick};
use crate::base::moment;
use crate::base::outcome::FailureKind;

/// Maximum number of kept attempts: the first, and the last ones.
const MAX_ATTEMPTS: usize = 32;

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FailedAttempt {
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
    gave_up: bool,
    /// It was dropped before its end.
    dropped: bool,
    attempts: Vec<FailedAttempt>,
    /// The number of all attempts, including those that are not kept.
    count: u32,
    /// The start of the running attempt; `None` between attempts.
    running_since: Option<Tick>,
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
        let _restore = Restore { record: self, outer, kept };
        work()
    }

    /// The last recorded attempt that was not rejected by a layer.
    pub(crate) fn arrived(&self) -> Option<&FailedAttempt> {
        let log = self.0.as_ref().filter(|log| log.retry.is_some())?;
        log.attempts.iter().rev().find(|attempt| attempt.kind != FailureKind::Rejected)
    }

    /// Returns the failed attempts of a call that has failed, including the last, and their number. `alone` is the single
    /// attempt if no retry has recorded any.
    pub(crate) fn end(self, alone: FailedAttempt) -> (Vec<FailedAttempt>, u32) {
        // `alone` says more about a single attempt.
        let is_useful = |log: &Log| log.retry.is_some() && !(log.gave_up && log.count == 1);
        let Some(mut log) = self.0.filter(|log| is_useful(log)) else {
            return (vec![alone], 1);
        };
        if !log.gave_up
            && let Some(began) = log.running_since.take()
        {
            // A timeout further out, or a panic, ended the running attempt.
            let took = clock::now().since(began);
            log.push(FailedAttempt { took, ..alone });
        }
        (log.attempts, log.count)
    }
}

/// Restores the state of the thread, also after a panic.
struct Restore<'a> {
    record: &'a mut Record,
    outer: State,
    kept: Option<Box<Log>>,
}

impl Drop for Restore<'_> {
    #[inline]
    fn drop(&mut self) {
        let own = STATE.replace(self.outer);
        if own == State::Written || self.outer == State::Written {
            self.record.0 = swap_log(self.kept.take());
        }
    }
}

impl Log {
    fn push(&mut self, attempt: FailedAttempt) {
        keep(&mut self.attempts, attempt);
        self.count = self.count.saturating_add(1);
    }
}

/// Adds an attempt. Keeps the first one and the last ones.
pub(crate) fn keep<T>(attempts: &mut Vec<T>, attempt: T) {
    attempts.push(attempt);
    if attempts.len() > MAX_ATTEMPTS {
        attempts.remove(1);
    }
}

/// Whether a record is open on this thread.
#[inline]
pub(crate) fn is_recording() -> bool {
    STATE.get() != State::Off
}

/// Records that the attempt of `retry` that started at `began` has failed; `first` is set for its first. Returns whether
/// it was recorded.
#[cold]
pub(crate) fn record_failure(
    retry: RetryId,
    first: bool,
    began: Tick,
    kind: FailureKind,
    text: impl FnOnce() -> ErrorText,
) -> bool {
    let mut log = swap_log(None).unwrap_or_default();
    let is_own = log.retry == Some(retry);
    // Otherwise the log is of a retry that still runs, outside of this one or beside it.
    let recorded = is_own || log.retry.is_none() || log.gave_up || log.dropped;
    if recorded {
        if !is_own || first {
            *log = Log { retry: Some(retry), ..Log::default() };
        }
        // An attempt that was never pending has no start.
        let took = if began == Tick::default() { Duration::ZERO } else { clock::now().since(began) };
        let ErrorText { error_type, message, causes: _ } = text();
        log.push(FailedAttempt { at: moment::now(), took, kind, error_type, message });
        log.running_since = None;
    }
    swap_log(Some(log));
    STATE.set(State::Written);
    recorded
}

/// Records that `retry` starts its next attempt. An earlier attempt of it is recorded.
#[cold]
pub(crate) fn started(retry: RetryId, now: Tick) {
    with(retry, |log| log.running_since = Some(now));
}

/// Records that `retry`, which has a recorded attempt, makes no more attempts.
#[cold]
pub(crate) fn gave_up(retry: RetryId) {
    with(retry, |log| (log.gave_up, log.running_since) = (true, None));
}

/// Removes the record of `retry`, which succeeded after a recorded attempt.
#[cold]
pub(crate) fn succeeded(retry: RetryId) {
    with(retry, |log| *log = Log::default());
}

/// Records that `retry`, which has a recorded attempt, is dropped.
#[cold]
pub(crate) fn dropped(retry: RetryId) {
    with(retry, |log| log.dropped = true);
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

    fn alone() -> FailedAttempt {
        tried("alone")
    }

    fn tried(message: &str) -> FailedAttempt {
        FailedAttempt {
            at: SystemTime::UNIX_EPOCH,
            took: Duration::ZERO,
            kind: FailureKind::Error,
            error_type: "E".to_owned(),
            message: message.to_owned(),
        }
    }

    fn fail(retry: RetryId, number: u32) -> bool {
        let text = || ErrorText::new("E", &format!("{}:{number}", retry.0));
        record_failure(retry, number == 1, Tick::default(), FailureKind::Error, text)
    }

    /// The messages of the attempts recorded during `work`, and their number.
    fn recorded(work: impl FnOnce()) -> (Vec<String>, u32) {
        let (mut record, before) = (Record::default(), is_recording());
        record.during(work);
        let (tried, count) = record.end(alone());
        assert_eq!(is_recording(), before, "nothing stays with the thread");
        (tried.into_iter().map(|tried| tried.message).collect(), count)
    }

    fn expect(messages: &[&str], count: u32, work: impl FnOnce()) {
        assert_eq!(recorded(work), (messages.iter().map(|&message| message.to_owned()).collect(), count));
    }

    #[test]
    fn a_call_without_a_retry_is_one_attempt() {
        expect(&["alone"], 1, || assert!(is_recording()));
        expect(&["alone"], 1, || {
            fail(A, 1);
            gave_up(A);
        });
    }

    #[test]
    fn attempts_are_recorded_over_several_polls() {
        let mut record = Record::default();
        record.during(|| assert!(fail(A, 1)));
        record.during(|| started(A, Tick::default()));
        record.during(|| {
            assert!(fail(A, 2));
            gave_up(A);
        });
        assert_eq!(record.end(alone()).1, 2);
    }

    #[test]
    fn of_nested_retries_the_outer_is_recorded() {
        expect(&["1:1", "1:2"], 2, || {
            for attempt in 1..=2 {
                let inner = RetryId(10 + attempt as usize);
                assert_eq!(fail(inner, 1), attempt == 1);
                fail(inner, 2);
                gave_up(inner);
                assert!(fail(A, attempt));
            }
            gave_up(A);
        });
    }

    #[test]
    fn of_consecutive_retries_the_last_that_failed_is_recorded() {
        expect(&["2:1", "2:2"], 2, || {
            for retry in [A, B] {
                (1..=2).for_each(|number| assert!(fail(retry, number)));
                gave_up(retry);
            }
        });
        expect(&["alone"], 1, || {
            fail(A, 1);
            succeeded(A);
        });
    }

    #[test]
    fn an_attempt_that_is_dropped_is_the_last() {
        expect(&["1:1", "alone"], 2, || {
            fail(A, 1);
            started(A, Tick::default());
            dropped(A);
        });
        // Dropped while it waited for its next attempt.
        expect(&["1:1"], 1, || {
            fail(A, 1);
            dropped(A);
        });
        // Another retry starts after it.
        expect(&["2:1", "2:2"], 2, || {
            fail(A, 1);
            dropped(A);
            fail(B, 1);
            fail(B, 2);
            gave_up(B);
        });
    }

    #[test]
    fn the_first_and_the_last_attempts_are_kept() {
        let (messages, count) = recorded(|| (1..=100).for_each(|number| assert!(fail(A, number))));
        assert_eq!((messages.len(), count), (MAX_ATTEMPTS, 100));
        assert_eq!((messages[0].as_str(), messages[1].as_str()), ("1:1", "1:70"));
        assert_eq!(messages[MAX_ATTEMPTS - 1], "1:100");
    }

    #[test]
    fn a_nested_record_has_its_own_attempts() {
        expect(&["1:1", "1:2"], 2, || {
            fail(A, 1);
            expect(&["2:1", "2:2"], 2, || {
                fail(B, 1);
                fail(B, 2);
            });
            fail(A, 2);
            gave_up(A);
        });
    }

    #[test]
    fn a_panic_closes_the_record() {
        let mut record = Record::default();
        let panicked = crate::base::panics::catch(|| {
            record.during(|| {
                fail(A, 1);
                started(A, Tick::default());
                panic!("on purpose");
            });
        });
        assert!(panicked.is_err() && !is_recording());
        assert_eq!(record.end(alone()).1, 2);
    }
}

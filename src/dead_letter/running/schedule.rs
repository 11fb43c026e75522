//! When letters are due for redrives in the background.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::progress::Progress;
use crate::Backoff;
use crate::base::clock::{self, Tick};
use crate::base::moment;
use crate::base::sync::Mutex;
use crate::dead_letter::letter::Letter;

/// The largest number of known due times. For the others, a redrive asks the store at its interval.
const MAX_KNOWN: usize = 1_024;

/// Letters that are due within this time, in nanoseconds, are claimed together.
const GRANULARITY: u64 = 100_000_000;

/// The due times that this process knows.
#[derive(Debug, Default)]
pub(in crate::dead_letter) struct Schedule {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The backoffs of the redrives in the background, with their numbers. The last one is used.
    backoffs: Vec<(u64, Backoff)>,
    last_number: u64,
    /// The earliest due times, by the monotonic clock, so that steps of the wall clock have no effect.
    due: BTreeSet<Tick>,
}

impl Schedule {
    /// When a letter is due that first failed at `at`. `None` if no redrive runs in the background.
    pub(in crate::dead_letter) fn due_first(&self, at: SystemTime) -> Option<SystemTime> {
        let backoff = self.backoff()?;
        Some(moment::later(at, backoff.delay(0, Duration::ZERO)))
    }

    /// When a letter that has just failed again is due.
    pub(in crate::dead_letter) fn due_again(&self, letter: &Letter) -> Option<SystemTime> {
        let backoff = self.backoff()?;
        let before = letter.attempts.len().checked_sub(2).and_then(|place| letter.attempts.get(place));
        let previous = letter.due.zip(before).and_then(|(due, before)| due.duration_since(before.at).ok());
        let delay = backoff.delay(letter.redrives, previous.unwrap_or_default());
        Some(moment::later(letter.last_failed, delay))
    }

    /// How long a letter waits that was skipped `before` times, the last time for `previous`.
    pub(in crate::dead_letter) fn delay(&self, before: u32, previous: Duration) -> Option<Duration> {
        self.backoff().map(|backoff| backoff.delay(before, previous))
    }

    fn backoff(&self) -> Option<Backoff> {
        self.state.lock().backoffs.last().map(|(_, backoff)| *backoff)
    }

    /// Adds the due time of a letter.
    pub(in crate::dead_letter) fn note(&self, due: Option<SystemTime>) {
        let Some(due) = due else {
            return;
        };
        let wait = due.duration_since(moment::now()).unwrap_or_default();
        let due = rounded(clock::now() + wait);
        let mut state = self.state.lock();
        if state.backoffs.is_empty() || !state.due.insert(due) {
            return;
        }
        if state.due.len() > MAX_KNOWN {
            state.due.pop_last();
        }
        if state.due.first() == Some(&due) {
            self.changed.notify_one();
        }
    }

    /// Removes the due times until now, because a pass starts that claims all letters that are due.
    pub(in crate::dead_letter) fn start_pass(&self) {
        let now = clock::now();
        let mut state = self.state.lock();
        state.due = state.due.split_off(&now);
    }

    /// Waits until a letter is due, but at least until `from` and at most until `to`. Returns at once if the run must stop.
    pub(in crate::dead_letter) async fn wait(&self, progress: &Progress, from: Instant, to: Instant) {
        loop {
            let due = self.state.lock().due.first().copied();
            let due = due.map(|due| due.since(clock::now()));
            let until = due.and_then(|wait| Instant::now().checked_add(wait)).unwrap_or(to).clamp(from, to);
            let (mut sleep, mut changed) = (pin!(sleep_until(until)), pin!(self.changed.notified()));
            let over = poll_fn(|cx| {
                if progress.poll_stopping(cx) || sleep.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(true);
                }
                changed.as_mut().poll(cx).map(|()| false)
            });
            if over.await {
                return;
            }
        }
    }
}

/// Rounds a due time up to the granularity.
fn rounded(due: Tick) -> Tick {
    Tick(due.0.div_ceil(GRANULARITY).saturating_mul(GRANULARITY))
}

/// Sets the backoff of a schedule until it is dropped.
pub(in crate::dead_letter) struct BackoffGuard {
    schedule: Arc<Schedule>,
    number: u64,
}

impl BackoffGuard {
    pub(in crate::dead_letter) fn new(schedule: &Arc<Schedule>, backoff: Backoff) -> Self {
        let mut state = schedule.state.lock();
        state.last_number += 1;
        let number = state.last_number;
        state.backoffs.push((number, backoff));
        drop(state);
        Self { schedule: Arc::clone(schedule), number }
    }
}

impl Drop for BackoffGuard {
    fn drop(&mut self) {
        self.schedule.state.lock().backoffs.retain(|(number, _)| *number != self.number);
    }
}

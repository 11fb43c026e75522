//! When letters are due, while a redrive runs in the background.

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

/// Maximum number of known moments. The others are found by a look at the store.
const KNOWN: usize = 1_024;

/// Letters that are due within this time are claimed together, in nanoseconds.
const TOGETHER: u64 = 100_000_000;

/// When the letters of a queue are due that this process knows of.
#[derive(Debug, Default)]
pub(in crate::dead_letter) struct Schedule {
    now: Mutex<Now>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Now {
    /// Of each that sends in the background; the last one decides.
    backoffs: Vec<(u64, Backoff)>,
    made: u64,
    /// When letters are due, the soonest ones: by the clock that only runs on, whatever happens to the wall clock.
    due: BTreeSet<Tick>,
}

impl Schedule {
    /// When a letter is due that failed for the first time at `at`.
    pub(in crate::dead_letter) fn due_first(&self, at: SystemTime) -> Option<SystemTime> {
        let backoff = self.backoff()?;
        Some(moment::later(at, backoff.delay(0, Duration::ZERO)))
    }

    /// When `letter`, which has just failed again, is due.
    pub(super) fn due_again(&self, letter: &Letter) -> Option<SystemTime> {
        let backoff = self.backoff()?;
        let before = letter.attempts.len().checked_sub(2).and_then(|place| letter.attempts.get(place));
        let previous = letter.due.zip(before).and_then(|(due, before)| due.duration_since(before.at).ok());
        let delay = backoff.delay(letter.redrives, previous.unwrap_or_default());
        Some(moment::later(letter.last_failed, delay))
    }

    /// How long a letter waits that was put off `before` times, the last time for `previous`.
    pub(super) fn delay(&self, before: u32, previous: Duration) -> Option<Duration> {
        self.backoff().map(|backoff| backoff.delay(before, previous))
    }

    fn backoff(&self) -> Option<Backoff> {
        self.now.lock().backoffs.last().map(|(_, backoff)| *backoff)
    }

    /// A letter is kept that is due then.
    pub(in crate::dead_letter) fn note(&self, due: Option<SystemTime>) {
        let Some(due) = due else {
            return;
        };
        let wait = due.duration_since(moment::now()).unwrap_or_default();
        let due = rounded(clock::now() + wait);
        let mut now = self.now.lock();
        if now.backoffs.is_empty() || !now.due.insert(due) {
            return;
        }
        if now.due.len() > KNOWN {
            now.due.pop_last();
        }
        if now.due.first() == Some(&due) {
            self.news.notify_one();
        }
    }

    /// All that is due by now is being asked for.
    pub(super) fn begin(&self) {
        let asked = clock::now();
        let mut now = self.now.lock();
        now.due = now.due.split_off(&asked);
    }

    /// Waits until a letter is due, and at least until `from` and at most until `to`, unless the run shall stop.
    pub(super) async fn wait(&self, progress: &Progress, from: Instant, to: Instant) {
        loop {
            let due = self.now.lock().due.first().copied();
            let due = due.map(|due| due.since(clock::now()));
            let until = due.and_then(|wait| Instant::now().checked_add(wait)).unwrap_or(to).clamp(from, to);
            let (mut sleep, mut news) = (pin!(sleep_until(until)), pin!(self.news.notified()));
            let over = poll_fn(|cx| {
                if progress.poll_stopping(cx) || sleep.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(true);
                }
                news.as_mut().poll(cx).map(|()| false)
            });
            if over.await {
                return;
            }
        }
    }
}

/// The end of the time that letters are claimed together for.
fn rounded(due: Tick) -> Tick {
    Tick(due.0.div_ceil(TOGETHER).saturating_mul(TOGETHER))
}

/// Makes letters due by a backoff, until this is dropped.
pub(super) struct Scheduled {
    schedule: Arc<Schedule>,
    number: u64,
}

impl Scheduled {
    pub(super) fn new(schedule: &Arc<Schedule>, backoff: Backoff) -> Self {
        let mut now = schedule.now.lock();
        now.made += 1;
        let number = now.made;
        now.backoffs.push((number, backoff));
        drop(now);
        Self { schedule: Arc::clone(schedule), number }
    }
}

impl Drop for Scheduled {
    fn drop(&mut self) {
        self.schedule.now.lock().backoffs.retain(|(number, _)| *number != self.number);
    }
}

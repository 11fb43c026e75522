//! Letters that are sent again by themselves.

use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use crate::Backoff;
use crate::dead_letter::letter::Letter;
use crate::moment;
use crate::sync::Mutex;

/// When letters of a queue are due, while somebody sends them in the background.
#[derive(Debug, Default)]
pub(in crate::dead_letter) struct Schedule {
    now: Mutex<Now>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Now {
    backoff: Option<Backoff>,
    /// When the first of those is due that this process knows of.
    next: Option<SystemTime>,
}

impl Schedule {
    /// When a letter is due that failed for the first time at `at`.
    pub(in crate::dead_letter) fn due_first(&self, at: SystemTime) -> Option<SystemTime> {
        let delay = self.now.lock().backoff?.delay(0, Duration::ZERO);
        Some(moment::later(at, delay))
    }

    /// When `letter`, which has just failed again, is due.
    pub(super) fn due_again(&self, letter: &Letter) -> Option<SystemTime> {
        let before = letter.attempts.len().checked_sub(2).and_then(|place| letter.attempts.get(place));
        let previous = letter.due.zip(before).and_then(|(due, before)| due.duration_since(before.at).ok());
        let backoff = self.now.lock().backoff?;
        let delay = backoff.delay(letter.redrives, previous.unwrap_or_default());
        Some(moment::later(letter.last_failed, delay))
    }
}

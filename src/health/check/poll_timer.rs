//! Measures how long a check keeps its thread while it is polled.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use crate::base::clock::{self, Tick, nanos};
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::health::awake::LATE;

/// Times the polls of the runs of one check.
#[derive(Debug, Default)]
pub(super) struct PollTimer {
    /// Start of the current poll; 0 between polls.
    poll_began: AtomicU64,
    /// Sum of the long polls of the last run, in nanoseconds.
    blocked: AtomicU64,
}

impl PollTimer {
    /// Times each poll of `run`.
    pub(super) async fn watch<F: Future>(&self, run: F) -> F::Output {
        self.blocked.store(0, Ordering::Relaxed);
        let mut run = pin!(run);
        poll_fn(|cx| {
            let began = clock::now();
            self.poll_began.store(began.0.max(1), Ordering::Relaxed);
            let _end = PollEnd { timer: self, began };
            run.as_mut().poll(cx)
        })
        .await
    }

    /// The duration of the current poll.
    pub(super) fn stuck_for(&self, now: Tick) -> Duration {
        match self.poll_began.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            began => now.since(Tick(began)),
        }
    }

    /// The time for which the last run blocked its thread, in polls longer than [`LATE`].
    pub(super) fn blocked(&self) -> Duration {
        Duration::from_nanos(self.blocked.load(Ordering::Relaxed))
    }
}

/// Ends a poll, even when the poll panics.
struct PollEnd<'a> {
    timer: &'a PollTimer,
    began: Tick,
}

impl Drop for PollEnd<'_> {
    fn drop(&mut self) {
        self.timer.poll_began.store(0, Ordering::Relaxed);
        let took = clock::now().since(self.began);
        if took > LATE {
            self.timer.blocked.fetch_add(nanos(took), Ordering::Relaxed);
        }
    }
}

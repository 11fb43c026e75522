//! Whether a check holds the thread that it was polled on.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::Duration;

use crate::base::clock::{self, Tick, nanos};
use crate::base::sync::atomic::{AtomicU64, Ordering};
use crate::health::awake::LATE;

/// What the runs of one check do with their thread.
#[derive(Debug, Default)]
pub(super) struct Polling {
    /// Since when one is polled; 0 while none is.
    since: AtomicU64,
    /// How long the last run kept its thread, beyond moments.
    kept: AtomicU64,
}

impl Polling {
    /// Takes note of each poll of `run`.
    pub(super) async fn watch<F: Future>(&self, run: F) -> F::Output {
        self.kept.store(0, Ordering::Relaxed);
        let mut run = pin!(run);
        poll_fn(|cx| {
            let began = clock::now();
            self.since.store(began.0.max(1), Ordering::Relaxed);
            let _over = Over { polling: self, began };
            run.as_mut().poll(cx)
        })
        .await
    }

    /// For how long it has been polled without an end.
    pub(super) fn stuck_for(&self, now: Tick) -> Duration {
        match self.since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => now.since(Tick(since)),
        }
    }

    /// How long the last run kept its thread.
    pub(super) fn kept(&self) -> Duration {
        Duration::from_nanos(self.kept.load(Ordering::Relaxed))
    }
}

/// The end of a poll, also by a panic.
struct Over<'a> {
    polling: &'a Polling,
    began: Tick,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.polling.since.store(0, Ordering::Relaxed);
        let took = clock::now().since(self.began);
        if took > LATE {
            self.polling.kept.fetch_add(nanos(took), Ordering::Relaxed);
        }
    }
}

//! How long a task waits for a worker.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::base::clock;
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// It did not run yet.
const WAITS: u64 = u64::MAX;
/// It was dropped before it ran: its runtime was shut down.
const DROPPED: u64 = u64::MAX - 1;

/// Measures again and again; at most one task is on its way.
#[derive(Default)]
pub(super) struct Delay(Option<Sent>);

/// A task that was spawned.
struct Sent {
    at: Instant,
    /// The nanoseconds until it ran, or one of the two words above.
    ran_after: Arc<AtomicU64>,
}

/// The task: does nothing but tell when.
struct Measurement {
    sent: Instant,
    ran_after: Arc<AtomicU64>,
}

impl Delay {
    /// How long the task of the measurement before this one waited, or waits already; `Some(None)` for the first
    /// one, and `None` when the runtime was shut down.
    #[allow(clippy::option_option)] // Each says another thing, to one caller.
    pub(super) fn measure(&mut self, runtime: &Handle) -> Option<Option<Duration>> {
        let delay = match &self.0 {
            None => None,
            Some(sent) => match sent.ran_after.load(Ordering::Relaxed) {
                // A second one behind it would tell nothing new.
                WAITS => return Some(Some(clock::real_now().duration_since(sent.at))),
                DROPPED => return None,
                nanos => Some(Duration::from_nanos(nanos)),
            },
        };
        let sent = Sent::to(runtime);
        // A runtime that was shut down drops it at once.
        let alive = sent.ran_after.load(Ordering::Relaxed) != DROPPED;
        self.0 = Some(sent);
        alive.then_some(delay)
    }
}

impl Sent {
    fn to(runtime: &Handle) -> Self {
        let ran_after = Arc::new(AtomicU64::new(WAITS));
        let at = clock::real_now();
        drop(runtime.spawn(Measurement { sent: at, ran_after: Arc::clone(&ran_after) }));
        Self { at, ran_after }
    }
}

impl Future for Measurement {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let delay = clock::nanos(clock::real_now().duration_since(self.sent));
        self.ran_after.store(delay.min(DROPPED - 1), Ordering::Relaxed);
        Poll::Ready(())
    }
}

impl Drop for Measurement {
    fn drop(&mut self) {
        // Fails when it ran.
        let _ = self.ran_after.compare_exchange(WAITS, DROPPED, Ordering::Relaxed, Ordering::Relaxed);
    }
}

//! Measures how long a task waits for a worker.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::base::clock;
use crate::base::sync::atomic::{AtomicU64, Ordering};

/// The task has not run yet.
const WAITS: u64 = u64::MAX;
/// The task was dropped before it ran, because its runtime was shut down.
const DROPPED: u64 = u64::MAX - 1;

/// Measures repeatedly. At most one task waits.
#[derive(Default)]
pub(super) struct Delay(Option<Sent>);

/// A task that was spawned.
struct Sent {
    at: Instant,
    /// The nanoseconds until it ran, or one of the two constants above.
    ran_after: Arc<AtomicU64>,
}

/// The task, which only stores when it ran.
struct Measurement {
    sent: Instant,
    ran_after: Arc<AtomicU64>,
}

impl Delay {
    /// Spawns a task, and returns how long the previous one waited or has waited so far. `Some(None)` for the first
    /// measurement, `None` if the runtime was shut down.
    #[allow(clippy::option_option)] // The two are different results, for one caller.
    pub(super) fn measure(&mut self, runtime: &Handle) -> Option<Option<Duration>> {
        let delay = match &self.0 {
            None => None,
            Some(sent) => match sent.ran_after.load(Ordering::Relaxed) {
                // A second task behind it would not add information.
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
        // Has no effect if the task ran.
        let _ = self.ran_after.compare_exchange(WAITS, DROPPED, Ordering::Relaxed, Ordering::Relaxed);
    }
}

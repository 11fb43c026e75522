//! The task that takes a snapshot once a round, even when no caller asks for one.

use std::sync::Arc;
use std::time::Duration;

use crate::base::clock;
use crate::base::moment;
use crate::base::sync::atomic::{AtomicBool, Ordering};
use crate::signal::{HEARTBEAT_PERIOD, Vitals};

/// The task of one health.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    running: Arc<AtomicBool>,
}

impl Rounds {
    /// Starts the task unless it runs, on the current Tokio runtime. Without a runtime, the next call of
    /// [`Health::snapshot`](super::Health::snapshot) does what is due.
    ///
    /// `round` does what is due and returns the time until the next round; `None` ends the task.
    pub(super) fn ensure_running<F>(&self, vitals: &Arc<Vitals>, round: F)
    where
        F: Fn() -> Option<Duration> + Send + 'static,
    {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let running = Running { running: Arc::clone(&self.running), vitals: Arc::clone(vitals) };
        runtime.spawn(run(round, running));
    }
}

/// Marks the task as ended when it is dropped, which also happens when its runtime ends. The next handle that is used on
/// another runtime starts a new task.
struct Running {
    running: Arc<AtomicBool>,
    vitals: Arc<Vitals>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.vitals.heartbeat().stop();
        self.running.store(false, Ordering::Release);
    }
}

async fn run(round: impl Fn() -> Option<Duration>, running: Running) {
    let heartbeat = running.vitals.heartbeat();
    loop {
        heartbeat.beat(clock::now(), moment::micros(moment::now()));
        let Some(pause) = round() else { return };
        // The time that the round took is not part of the next beat.
        heartbeat.expect_next(clock::now());
        tokio::time::sleep(pause.min(HEARTBEAT_PERIOD)).await;
    }
}

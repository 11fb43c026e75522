//! A check that decides when an open circuit becomes half-open, instead of callers' requests.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tower::BoxError;

use super::circuit::Circuit;
use super::machine::Observer;
use crate::base::clock;
use crate::base::outcome::{Timed, line};
use crate::base::panics::Panic;
use crate::base::sync::Mutex;

/// The result of a check.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

type Check = dyn Fn() -> Answer + Send + Sync;

/// Maximum bytes of the text of a check's failure.
const LONGEST: usize = 1024;

/// Converts the result of a check.
pub(super) fn answer<T, E: Into<BoxError>>(
    checked: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Answer {
    Box::pin(async move { checked.await.map(drop).map_err(|error| line(error.into().as_ref(), LONGEST)) })
}

/// Checks whether a service works again.
#[derive(Clone)]
pub(super) struct HealthProbe {
    check: Arc<Check>,
    /// Limits the checks that run at once.
    turns: Option<Arc<Semaphore>>,
}

/// The probe of a circuit and its task. There is at most one, and none unless the circuit is open.
#[derive(Debug)]
pub(super) struct Probing {
    probe: HealthProbe,
    task: Mutex<Option<AbortHandle>>,
}

// ===== impl HealthProbe =====

impl HealthProbe {
    pub(super) fn new(
        check: impl Fn() -> Answer + Send + Sync + 'static,
        turns: Option<Arc<Semaphore>>,
    ) -> Self {
        Self { check: Arc::new(check), turns }
    }

    /// Waits for the turn of this probe. If it does not come in time, that is reported, and the wait goes on.
    async fn turn(&self, limit: Duration, late: impl FnOnce()) -> Option<OwnedSemaphorePermit> {
        let mut turn = pin!(Arc::clone(self.turns.as_ref()?).acquire_owned());
        let in_time = timeout(limit, turn.as_mut()).await;
        match in_time {
            Ok(turn) => turn.ok(),
            Err(_) => {
                late();
                turn.await.ok()
            }
        }
    }

    /// Runs one check, in a task of its own: a panic is a result too.
    async fn ask(&self, limit: Duration) -> Result<(), String> {
        let check = Arc::clone(&self.check);
        let mut asked = Asked(Timed::spawn(async move { check().await }));
        match timeout(limit, &mut asked.0.task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(broken)) => {
                let why = broken.to_string();
                drop(Panic::of_task(broken));
                Err(why)
            }
            Err(_) => {
                asked.0.give_up();
                Err(format!("no answer within {limit:?}"))
            }
        }
    }
}

impl fmt::Debug for HealthProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HealthProbe")
    }
}

/// Drops the running check, if its result is no longer needed.
struct Asked(Timed<Result<(), String>>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.task.abort();
    }
}

// ===== impl Probing =====

impl Probing {
    pub(super) fn new(probe: HealthProbe) -> Self {
        Self { probe, task: Mutex::default() }
    }

    /// Runs the check after each wait of the circuit, until it succeeds or the circuit changes. Outside a runtime callers
    /// decide, as without a probe.
    pub(super) fn watch(&self, circuit: Weak<Circuit>, epoch: u64) {
        let watched = Watched { circuit, epoch };
        if let Ok(runtime) = Handle::try_current() {
            let task = runtime.spawn(watched.watch(self.probe.clone())).abort_handle();
            let before = self.task.lock().replace(task);
            if let Some(before) = before {
                before.abort();
            }
        }
    }

    /// Stops the checks.
    pub(super) fn stop(&self) {
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.abort();
        }
    }
}

impl Drop for Probing {
    fn drop(&mut self) {
        self.stop();
    }
}

// ===== impl Watched =====

/// An open circuit that is watched by its probe. When it is dropped, such as with the runtime, callers decide.
struct Watched {
    circuit: Weak<Circuit>,
    epoch: u64,
}

impl Watched {
    async fn watch(self, probe: HealthProbe) {
        loop {
            // The task does not keep the circuit alive.
            let Some(wait) = self
                .with(|circuit| circuit.machine.health_probe_at(self.epoch).map(|at| at.since(clock::now())))
            else {
                return;
            };
            sleep(wait).await;
            let Some(limit) = self.limit() else { return };
            let turn = probe.turn(limit, || self.leave_it_to_callers()).await;
            let Some(limit) = self.limit() else { return };
            let found = probe.ask(limit).await;
            drop(turn);
            let again = self.with(|circuit| {
                if let Err(error) = &found {
                    tracing::debug!(
                        target: "campanile::breaker",
                        breaker = &*circuit.name,
                        error,
                        "the health probe failed, the circuit stays open"
                    );
                }
                let again = circuit.machine.health_probed(self.epoch, found.is_ok(), clock::now(), &*circuit);
                again.then_some(())
            });
            if again.is_none() {
                return;
            }
        }
    }

    /// The time limit of a check, while the circuit needs one.
    fn limit(&self) -> Option<Duration> {
        self.with(|circuit| {
            circuit.machine.health_probe_at(self.epoch)?;
            Some(circuit.settings().half_open.max_wait)
        })
    }

    fn leave_it_to_callers(&self) {
        if let Some(circuit) = self.circuit.upgrade() {
            circuit.machine.leave_it_to_callers(self.epoch);
            circuit.freed();
        }
    }

    fn with<T>(&self, look: impl FnOnce(Arc<Circuit>) -> Option<T>) -> Option<T> {
        self.circuit.upgrade().and_then(look)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.leave_it_to_callers();
    }
}

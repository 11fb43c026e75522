//! A check that decides when an open circuit becomes half-open, so that no caller's request is spent on it.

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

use crate::base::clock::{self, Tick};
use crate::base::outcome::{Timed, line};
use crate::base::panics::Panic;
use crate::base::sync::Mutex;

/// A running check.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

type Check = dyn Fn() -> Answer + Send + Sync;

/// Maximum bytes of the text of a check's failure.
const LONGEST: usize = 1024;

/// Runs `checked` and converts its result.
pub(super) fn answer<T, E: Into<BoxError>>(
    checked: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Answer {
    Box::pin(async move { checked.await.map(drop).map_err(|error| line(error.into().as_ref(), LONGEST)) })
}

/// An open circuit, as its health probe sees it. The `epoch` is that of the opening.
pub(super) trait ProbedCircuit: Send + Sync {
    fn name(&self) -> &str;

    /// When the check must run; `None` if the epoch has ended.
    fn health_probe_at(&self, epoch: u64) -> Option<Tick>;

    /// The time limit of a check.
    fn check_timeout(&self) -> Duration;

    /// Takes the result of a check. Returns whether the check must run again.
    fn health_probed(&self, epoch: u64, healthy: bool) -> bool;

    /// The check cannot run. Callers probe instead.
    fn let_callers_probe(&self, epoch: u64);
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

    /// Waits for the turn of this probe. Calls `late` if the turn does not come in time, and continues to wait.
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

    /// Runs one check, in its own task, so that a panic is a result too.
    async fn run_check(&self, limit: Duration) -> Result<(), String> {
        let check = Arc::clone(&self.check);
        let mut running = RunningCheck(Timed::spawn(async move { check().await }));
        match timeout(limit, &mut running.0.task).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(broken)) => {
                let why = broken.to_string();
                drop(Panic::of_task(broken));
                Err(why)
            }
            Err(_) => {
                running.0.give_up();
                Err(format!("the check timed out after {limit:?}"))
            }
        }
    }
}

impl fmt::Debug for HealthProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HealthProbe")
    }
}

/// A running check. Its drop ends the check.
struct RunningCheck(Timed<Result<(), String>>);

impl Drop for RunningCheck {
    fn drop(&mut self) {
        self.0.task.abort();
    }
}

// ===== impl Probing =====

impl Probing {
    pub(super) fn new(probe: HealthProbe) -> Self {
        Self { probe, task: Mutex::default() }
    }

    /// Runs the check after each wait of the circuit, until the check succeeds or the circuit changes. Outside a runtime
    /// callers probe, as without a check.
    pub(super) fn watch(&self, circuit: Weak<dyn ProbedCircuit>, epoch: u64) {
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

/// An open circuit that its probe watches. When this is dropped, such as with the runtime, callers probe.
struct Watched {
    circuit: Weak<dyn ProbedCircuit>,
    epoch: u64,
}

impl Watched {
    async fn watch(self, probe: HealthProbe) {
        loop {
            // The task does not keep the circuit alive.
            let at = self.circuit.upgrade().and_then(|circuit| circuit.health_probe_at(self.epoch));
            let Some(wait) = at.map(|at| at.since(clock::now())) else { return };
            sleep(wait).await;
            let Some(limit) = self.timeout() else { return };
            let turn = probe.turn(limit, || self.let_callers_probe()).await;
            let Some(limit) = self.timeout() else { return };
            let found = probe.run_check(limit).await;
            drop(turn);
            let Some(circuit) = self.circuit.upgrade() else { return };
            if let Err(error) = &found {
                tracing::debug!(
                    target: "campanile::breaker",
                    breaker = circuit.name(),
                    error,
                    "the health probe failed; the circuit stays open"
                );
            }
            if !circuit.health_probed(self.epoch, found.is_ok()) {
                return;
            }
        }
    }

    /// The time limit of a check; `None` if the circuit needs no check any more.
    fn timeout(&self) -> Option<Duration> {
        let circuit = self.circuit.upgrade()?;
        circuit.health_probe_at(self.epoch)?;
        Some(circuit.check_timeout())
    }

    fn let_callers_probe(&self) {
        if let Some(circuit) = self.circuit.upgrade() {
            circuit.let_callers_probe(self.epoch);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.let_callers_probe();
    }
}

//! A check that decides when an open circuit tries again, in place of the callers' requests.

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
use crate::clock;
use crate::outcome::{Timed, line};
use crate::panics::Panic;
use crate::sync::Mutex;

/// What a check finds.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

type Check = dyn Fn() -> Answer + Send + Sync;

/// Bytes of what a check says of its failure.
const LONGEST: usize = 1024;

/// The answer that `checked` comes to.
pub(super) fn answer<T, E: Into<BoxError>>(
    checked: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Answer {
    Box::pin(async move { checked.await.map(drop).map_err(|error| line(error.into().as_ref(), LONGEST)) })
}

/// Asks a service whether it is well again.
#[derive(Clone)]
pub(super) struct HealthProbe {
    check: Arc<Check>,
    /// Those that share it take turns.
    turns: Option<Arc<Semaphore>>,
}

/// The probe of a circuit, and the task that asks it. There is one at most, and none unless the circuit is open.
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

    /// The turn of this probe. One that does not come in time is told, and waited for all the same.
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

    /// One question, in a task of its own: its panic is an answer too.
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

/// A question whose answer is no longer of use is dropped with its task.
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

    /// Asks, after each wait of the circuit, until it is well or the circuit changed. Outside a runtime callers decide,
    /// as without a probe.
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

    /// Asks no more.
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

/// An open circuit that its probe looks after. Dropped, with the runtime maybe, it is left to callers.
struct Watched {
    circuit: Weak<Circuit>,
    epoch: u64,
}

impl Watched {
    async fn watch(self, probe: HealthProbe) {
        loop {
            // The circuit is not kept alive by those who look after it.
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

    /// How long a check may take, while the circuit wants one.
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

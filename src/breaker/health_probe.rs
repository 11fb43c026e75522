//! A check that decides when an open circuit tries again, in place of the callers' requests.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tower::BoxError;

use super::circuit::Circuit;
use super::machine::Observer;
use crate::clock;
use crate::outcome::{Timed, line};

type Check = dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync;

/// Asks a service whether it is well again.
#[derive(Clone)]
pub(super) struct HealthProbe(Arc<Check>);

/// Bytes of what a check says of its failure.
const LONGEST: usize = 1024;

impl HealthProbe {
    pub(super) fn new<F, Fut, T, E>(check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self(Arc::new(move || {
            let checked = check();
            Box::pin(
                async move { checked.await.map(drop).map_err(|error| line(error.into().as_ref(), LONGEST)) },
            )
        }))
    }

    /// Asks, after each wait of the circuit, until it is well or somebody changed the circuit. Outside a runtime
    /// callers decide, as without a probe.
    pub(super) fn watch(&self, circuit: Weak<Circuit>, epoch: u64) {
        let watched = Watched { circuit, epoch };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(watched.watch(Arc::clone(&self.0)));
        }
    }
}

/// An open circuit that its probe looks after. Dropped, with the runtime maybe, it is left to callers.
struct Watched {
    circuit: Weak<Circuit>,
    epoch: u64,
}

impl Watched {
    async fn watch(self, check: Arc<Check>) {
        loop {
            // The circuit is not kept alive by those who look after it.
            let Some(wait) = self
                .with(|circuit| circuit.machine.health_probe_at(self.epoch).map(|at| at.since(clock::now())))
            else {
                return;
            };
            sleep(wait).await;
            let Some(limit) = self.with(|circuit| {
                circuit.machine.health_probe_at(self.epoch)?;
                Some(circuit.settings().half_open.max_wait)
            }) else {
                return;
            };
            let found = ask(&check, limit).await;
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

    fn with<T>(&self, look: impl FnOnce(Arc<Circuit>) -> Option<T>) -> Option<T> {
        self.circuit.upgrade().and_then(look)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(circuit) = self.circuit.upgrade() {
            circuit.machine.leave_it_to_callers(self.epoch);
            circuit.freed();
        }
    }
}

/// One question, in a task of its own: its panic is an answer too.
async fn ask(check: &Arc<Check>, limit: Duration) -> Result<(), String> {
    let check = Arc::clone(check);
    let mut asked = Timed::spawn(async move { check().await });
    match timeout(limit, &mut asked.task).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(broken)) => Err(broken.to_string()),
        Err(_) => {
            asked.give_up();
            Err(format!("no answer within {limit:?}"))
        }
    }
}

impl fmt::Debug for HealthProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HealthProbe")
    }
}

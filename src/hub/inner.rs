//! What all handles of one [`Campanile`](super::Campanile) share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;

use super::config::Config;
use super::fault::{StartError, StartFault};
use super::parts::Parts;
use crate::base::sync::Mutex;
use crate::edge::serve::MetricsServer;
use crate::health::Health;
use crate::telemetry::Telemetry;

/// The limit of the shutdown when the last handle is dropped.
const LAST_DROP: Duration = Duration::from_secs(5);

pub(super) struct Inner {
    pub(super) config: Config,
    pub(super) telemetry: Telemetry,
    pub(super) health: Health,
    pub(super) parts: Mutex<Parts>,
    pub(super) faults: Faults,
    /// Taken by the shutdown, which ends it last.
    pub(super) metrics_server: Mutex<Option<MetricsServer>>,
    pub(super) tasks: Mutex<Vec<AbortHandle>>,
    /// The dependencies with a restart command.
    pub(super) healed: Mutex<BTreeSet<Arc<str>>>,
    /// Held during a reload, so that reloads do not overtake each other.
    pub(super) reloading: Mutex<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
        self.telemetry.shutdown(LAST_DROP);
    }
}

/// The maximum number of faults that are listed. More are logged only.
const MOST: usize = 1_000;

/// What did not start.
pub(super) struct Faults {
    strict: bool,
    found: Mutex<Vec<StartFault>>,
}

impl Faults {
    pub(super) fn new(strict: bool) -> Self {
        Self { strict, found: Mutex::default() }
    }

    /// Notes that a part did not start.
    ///
    /// # Errors
    /// The fault itself, if the start is strict.
    pub(super) fn add(&self, fault: StartFault) -> Result<(), StartError> {
        if self.strict {
            return Err(StartError::Part(fault));
        }
        tracing::error!(
            part = fault.part(),
            reason = fault.reason(),
            "a part did not start; the rest runs without it"
        );
        let mut found = self.found.lock();
        if !found.contains(&fault) && found.len() < MOST {
            found.push(fault);
        }
        Ok(())
    }

    pub(super) fn all(&self) -> Vec<StartFault> {
        self.found.lock().clone()
    }
}

/// Runs `task` until the last handle is dropped, if there is a runtime.
pub(super) fn spawn(inner: &Arc<Inner>, task: impl Future<Output = ()> + Send + 'static) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    inner.tasks.lock().push(runtime.spawn(task).abort_handle());
}

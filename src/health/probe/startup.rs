//! The start of the process: what must have been there once.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::life::Life;
#[cfg(feature = "checks")]
use crate::health::check_report::CheckReport;
use crate::health::handle::{Health, Inner};

/// Whether the process has started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Startup {
    /// Whether it has. Once what was waited for is there, this stays.
    pub complete: bool,
    /// What is waited for: the names of [gates](Health::starting), then of the checks that have not passed yet, as
    /// `component` or `component/check`.
    pub waiting_for: Vec<Arc<str>>,
}

/// Holds the start open until it is [done](Self::done); made by [`Health::starting`].
///
/// Dropped before that, by an error or a panic, it stays closed for good, and the log says so: what was to be done
/// was not, and nobody must send requests to a process that has half started.
#[must_use = "a gate that is dropped stays closed"]
pub struct StartupGate {
    name: Arc<str>,
    number: u64,
    life: Arc<Life>,
    done: bool,
}

impl Health {
    /// Says that the process is still starting, until the gate is done: `/startupz` and `/readyz` are 503 and name it.
    ///
    /// Make gates before the probes are served. After the start is complete a new one changes nothing, and the log
    /// says so.
    ///
    /// # Example
    /// ```
    /// use campanile::Health;
    ///
    /// # fn migrate() -> Result<(), std::fmt::Error> { Ok(()) }
    /// # fn main() -> Result<(), std::fmt::Error> {
    /// let health = Health::standalone();
    /// let gate = health.starting("migrations");
    /// assert!(!health.readiness().ready);
    ///
    /// migrate()?; // an error leaves the gate closed
    /// gate.done();
    /// assert!(health.startup().complete);
    /// # Ok(())
    /// # }
    /// ```
    pub fn starting(&self, name: impl Into<Arc<str>>) -> StartupGate {
        let (name, life) = (name.into(), Arc::clone(self.life()));
        if life.is_started() {
            tracing::warn!(gate = &*name, "a startup gate that is made after the start holds up nothing");
        }
        StartupGate { number: life.close(&name), name, life, done: false }
    }

    /// Whether the process has started: every gate is done, and every check of a critical component has passed once.
    ///
    /// A process with neither has started at once.
    #[must_use]
    pub fn startup(&self) -> Startup {
        let waiting_for = self.inner.waiting_for();
        Startup { complete: waiting_for.is_empty(), waiting_for }
    }
}

impl Inner {
    /// What the start waits for; once that is nothing, it stays so.
    pub(super) fn waiting_for(&self) -> Vec<Arc<str>> {
        let life = &self.life;
        if life.is_started() {
            return Vec::new();
        }
        let mut awaited = life.had_gates();
        let mut waiting = life.closed();
        #[cfg(feature = "checks")]
        for report in self.critical_checks() {
            awaited = true;
            if !report.passed_once {
                let (component, check) = (&report.component, &report.check);
                waiting.push(match component == check {
                    true => Arc::clone(component),
                    false => format!("{component}/{check}").into(),
                });
            }
        }
        // As long as there was nothing to wait for, something may still come: it is early.
        if awaited && waiting.is_empty() {
            life.start();
        }
        waiting
    }
}

#[cfg(feature = "checks")]
impl Inner {
    fn critical_checks(&self) -> impl Iterator<Item = Arc<CheckReport>> {
        let components = self.said().components;
        let critical = move |name: &str| components.get(name).is_some_and(|component| component.critical);
        self.checks.reports().into_iter().filter(move |report| critical(&report.component))
    }
}

impl StartupGate {
    /// What it stands for is there.
    pub fn done(mut self) {
        self.done = true;
        self.life.open(self.number);
    }
}

impl Drop for StartupGate {
    fn drop(&mut self) {
        if !self.done && !self.life.is_started() && !self.life.is_draining() {
            let gate = &*self.name;
            tracing::error!(
                gate,
                "a startup gate was dropped before it was done: the process never gets ready"
            );
        }
    }
}

impl fmt::Debug for StartupGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartupGate").field("name", &self.name).finish_non_exhaustive()
    }
}

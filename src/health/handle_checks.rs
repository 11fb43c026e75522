use std::sync::Arc;

use super::check::{Check, CheckHandle, Every};
use super::check_report::CheckReport;
use super::handle::Health;
use crate::base::error::ConfigError;

impl Health {
    /// Runs `check` for `component` at the interval of `every`, for as long as this health lives.
    ///
    /// The check runs in its own task on the current Tokio runtime: the first time at once, delayed by the jitter
    /// only (two seconds at most), then at its interval. Runs never overlap. A run that takes longer than
    /// [`Every::timeout`] is dropped and counts as failed; so does one that panics. Code that blocks its thread cannot be
    /// dropped: the check fails all the same, and its next run waits until the blocked one has ended. The message of a
    /// check is redacted as the pipeline does it, and cut to 512 bytes.
    ///
    /// # Errors
    /// Without a Tokio runtime; when the component has a check of the same name (see [`check_named`](Self::check_named));
    /// when a setting is out of its range; when a name is empty or longer than 128 bytes; when there are 1,024 checks
    /// already.
    ///
    /// # Example
    /// ```
    /// use campanile::health::{CheckOutcome, Every, Health};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), campanile::ConfigError> {
    /// # async fn ping() -> Result<(), std::io::Error> { Ok(()) }
    /// let health = Health::standalone();
    /// let every = Every::seconds(30).timeout(Duration::from_secs(2)).failures(3);
    /// let check = health.check("db", every, || async { ping().await })?;
    ///
    /// assert_eq!(check.run().await.outcome, CheckOutcome::Pass);
    /// # Ok(())
    /// # }
    /// ```
    pub fn check(
        &self,
        component: impl Into<Arc<str>>,
        every: Every,
        check: impl Check,
    ) -> Result<CheckHandle, ConfigError> {
        let component = component.into();
        self.check_named(Arc::clone(&component), component, every, check)
    }

    /// As [`check`](Self::check), for a component with several checks: each needs its own name.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_named(
        &self,
        component: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
        every: Every,
        check: impl Check,
    ) -> Result<CheckHandle, ConfigError> {
        let inner = Arc::downgrade(&self.inner);
        let changed = Box::new(move || {
            if let Some(inner) = inner.upgrade() {
                inner.refresh();
            }
        });
        let name = (component.into(), name.into());
        let handle =
            CheckHandle::add(&self.inner.checks, name, every, check, changed, self.inner.texts.clone())?;
        self.inner.ensure_rounds();
        self.inner.refresh();
        Ok(handle)
    }

    /// The last result of each check, sorted by component and name. Runs no check.
    #[must_use]
    pub fn check_reports(&self) -> Vec<Arc<CheckReport>> {
        self.inner.checks.reports()
    }

    /// Runs the checks of `component` now, concurrently, as [`CheckHandle::run`] does. Empty when it has no checks.
    pub async fn run_check(&self, component: &str) -> Vec<Arc<CheckReport>> {
        self.inner.checks.run_or_join(Some(component)).await
    }

    /// Runs all checks now, concurrently, as [`CheckHandle::run`] does.
    pub async fn run_checks(&self) -> Vec<Arc<CheckReport>> {
        self.inner.checks.run_or_join(None).await
    }
}

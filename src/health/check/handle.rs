//! How people add checks, run them and take them away.

use std::fmt;
use std::sync::{Arc, Weak};

use super::entry::Entry;
use super::registry::Checks;
use super::{Check, Every};
use crate::base::clock;
use crate::base::error::ConfigError;
use crate::health::CheckReport;
use crate::health::Health;

/// A check that was added; cheap to clone. Dropped, it changes nothing: the check runs for as long as its health lives.
#[derive(Clone)]
pub struct CheckHandle {
    entry: Arc<Entry>,
    checks: Weak<Checks>,
}

impl CheckHandle {
    /// What is known of it: what it found last.
    #[must_use]
    pub fn report(&self) -> Arc<CheckReport> {
        self.entry.report(clock::now())
    }

    /// Runs it now, whatever its rhythm, and gives what is known then.
    ///
    /// A run that is under way is waited for, and no other begins. What it finds counts like that of any run, and the
    /// rhythm stays. Dropped, it leaves the run to itself.
    pub async fn run(&self) -> Arc<CheckReport> {
        self.entry.run(false).await
    }

    /// Ends it: a run that is under way is dropped, and its health forgets what it found.
    pub fn stop(&self) {
        match self.checks.upgrade() {
            Some(checks) => checks.remove(&self.entry),
            None => self.entry.stop(),
        }
        self.entry.tell_change();
    }
}

impl fmt::Debug for CheckHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CheckHandle").field(&self.report()).finish()
    }
}

impl Health {
    /// Asks `component` how it is, every so often, from now on and for as long as this health lives.
    ///
    /// It runs on the Tokio runtime of whoever calls this, in a task of its own: the first time at once, give or take
    /// the jitter (two seconds at most), then on a rhythm of its own, and never twice at a time. What takes longer than
    /// [`Every::timeout`] is dropped and has failed, and so has what panics. Code that blocks its thread cannot be
    /// dropped; that it is late is told all the same, and it does not run again before it has ended. What was
    /// amiss is kept without secrets, as the pipeline redacts, and not more than 512 bytes of it.
    ///
    /// # Errors
    /// Without a Tokio runtime; when the component has a check of its own name already (see
    /// [`check_named`](Self::check_named)); when a setting is out of its range, or a name empty or longer than 128
    /// bytes; at the 1,025th check.
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

    /// One of several checks of `component`, each with a name of its own.
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
        let checks = self.checks();
        let name = (component.into(), name.into());
        let entry = checks.add(name, every, Arc::new(check), self.refresher(), self.texts().clone())?;
        self.keep_rounds();
        self.refresh();
        Ok(CheckHandle { entry, checks: Arc::downgrade(checks) })
    }

    /// What each check found last, by component and name. Runs none.
    #[must_use]
    pub fn check_reports(&self) -> Vec<Arc<CheckReport>> {
        self.checks().reports()
    }

    /// Runs the checks of `component` now, side by side; as [`CheckHandle::run`]. Empty when it has none.
    pub async fn run_check(&self, component: &str) -> Vec<Arc<CheckReport>> {
        self.checks().run_or_join(Some(component)).await
    }

    /// Runs every check now, side by side; as [`CheckHandle::run`].
    pub async fn run_checks(&self) -> Vec<Arc<CheckReport>> {
        self.checks().run_or_join(None).await
    }
}

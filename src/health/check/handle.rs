//! The handle of a check.

use std::fmt;
use std::sync::{Arc, Weak};

use super::check_trait::Check;
use super::entry::Entry;
use super::registry::Checks;
use crate::base::clock;
use crate::base::error::ConfigError;
use crate::base::every::Every;
use crate::health::CheckReport;
use crate::health::texts::Texts;

/// A check that was added by [`Health::check`](crate::Health::check). Cheap to clone. Dropping it does not stop the check,
/// which runs as long as its health lives.
#[derive(Clone)]
pub struct CheckHandle {
    entry: Arc<Entry>,
    checks: Weak<Checks>,
}

impl CheckHandle {
    /// Adds a check. `changed` is called after each change of the outcome that counts.
    pub(in crate::health) fn add(
        checks: &Arc<Checks>,
        (component, name): (Arc<str>, Arc<str>),
        every: Every,
        check: impl Check,
        changed: Box<dyn Fn() + Send + Sync>,
        texts: Texts,
    ) -> Result<Self, ConfigError> {
        let entry = checks.add((component, name), every, Arc::new(check), changed, texts)?;
        Ok(Self { entry, checks: Arc::downgrade(checks) })
    }

    /// Returns the last result.
    #[must_use]
    pub fn report(&self) -> Arc<CheckReport> {
        self.entry.report(clock::now())
    }

    /// Runs the check now and returns the result.
    ///
    /// A run that is in progress is joined. The result counts like that of any run, and the schedule does not change.
    /// Dropping the future does not end the run.
    pub async fn run(&self) -> Arc<CheckReport> {
        self.entry.run(false).await
    }

    /// Stops the check: a run that is in progress is dropped, and its health forgets the results.
    pub fn stop(&self) {
        match self.checks.upgrade() {
            Some(checks) => checks.remove(&self.entry),
            None => self.entry.stop(),
        }
        self.entry.notify_change();
    }
}

impl fmt::Debug for CheckHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CheckHandle").field(&self.report()).finish()
    }
}

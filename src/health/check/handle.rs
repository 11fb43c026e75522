//! How people add checks, run them and take them away.

use std::fmt;
use std::sync::{Arc, Weak};

use super::entry::Entry;
use super::registry::Checks;
use super::{Check, Every};
use crate::base::clock;
use crate::base::error::ConfigError;
use crate::health::CheckReport;
use crate::health::texts::Texts;

/// A check that was added; cheap to clone. Dropped, it changes nothing: the check runs for as long as its health lives.
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

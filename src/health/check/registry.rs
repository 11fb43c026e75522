//! The checks of one health.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::runtime::Handle;

use super::Every;
use super::ask::Ask;
use super::entry::{Entry, OUTCOMES};
use super::rhythm::Rhythm;
use super::runner::Driver;
use crate::base::clock;
use crate::base::error::ConfigError;
use crate::base::sync::Mutex;
use crate::health::CheckOutcome;
use crate::health::CheckReport;
use crate::health::texts::Texts;
use crate::signal::capacity::CHECKS;
use crate::signal::{CHECK_PASSING, CHECK_RUNS, Emit};

/// So many checks there may be: each has series of its own.
const MOST: usize = CHECKS;

/// Bytes of a name, which is a label.
const LONGEST: usize = 128;

/// Component and check.
type Name = (Arc<str>, Arc<str>);

/// The checks of one health, each with what it found last.
#[derive(Debug, Default)]
pub(in crate::health) struct Checks {
    entries: Mutex<BTreeMap<Name, Arc<Entry>>>,
}

impl Checks {
    /// Adds a check and begins to run it, on the runtime of whoever calls. `changed` is told when what counts of it
    /// has changed.
    pub(super) fn add(
        &self,
        (component, check): Name,
        every: Every,
        ask: Arc<dyn Ask>,
        changed: Box<dyn Fn() + Send + Sync>,
        texts: Texts,
    ) -> Result<Arc<Entry>, ConfigError> {
        let path =
            if component == check { format!("check.{check}") } else { format!("check.{component}.{check}") };
        every.validate().map_err(|error| error.within(&path))?;
        for (setting, name) in [("component", &component), ("name", &check)] {
            let fine = !name.is_empty() && name.len() <= LONGEST;
            ConfigError::check(fine, setting, name, "a text of 1 to 128 bytes")
                .map_err(|error| error.within("check"))?;
        }
        let runtime = Handle::try_current().map_err(|_| {
            let allowed = "call it where a Tokio runtime is at hand: in async code, or after `Handle::enter`";
            ConfigError::new(path.clone(), "run without a runtime", allowed)
        })?;
        let entry = Arc::new(Entry::new(Arc::clone(&component), Arc::clone(&check), every, changed, texts));
        let name = (component, check);
        {
            let mut entries = self.entries.lock();
            if entries.contains_key(&name) {
                let allowed =
                    "stop the one that is there, or give this one a name of its own with `check_named`";
                return Err(ConfigError::new(path, "registered twice", allowed));
            }
            if entries.len() >= MOST {
                let allowed = format!("one health has at most {MOST} checks; stop those of what is gone");
                return Err(ConfigError::new(path, "added", allowed));
            }
            entries.insert(name, Arc::clone(&entry));
        }
        let rhythm = Rhythm::new(&every, clock::now(), fastrand::f64());
        let driver = runtime.spawn(Driver::new(Arc::clone(&entry), ask).drive(rhythm));
        entry.driven_by(driver.abort_handle());
        Ok(entry)
    }

    /// Stops `entry` and forgets it; another of its name stays.
    pub(super) fn remove(&self, entry: &Arc<Entry>) {
        self.entries.lock().retain(|_, known| !Arc::ptr_eq(known, entry));
        entry.stop();
    }

    /// Those of `component`, or all.
    fn entries(&self, component: Option<&str>) -> Vec<Arc<Entry>> {
        let entries = self.entries.lock();
        let wanted = |name: &Name| component.is_none_or(|component| *name.0 == *component);
        entries.iter().filter(|(name, _)| wanted(name)).map(|(_, entry)| Arc::clone(entry)).collect()
    }

    /// What each found last; those of one component one after the other.
    pub(in crate::health) fn reports(&self) -> Vec<Arc<CheckReport>> {
        let now = clock::now();
        self.entries.lock().values().map(|entry| entry.report(now)).collect()
    }

    /// Runs all checks of `component` now, side by side, and gives what they found. A run that is under way does not
    /// count: what was done just now shows in one that begins later.
    pub(in crate::health) async fn run(&self, component: &str) -> Vec<Arc<CheckReport>> {
        let entries = self.entries(Some(component));
        join_all(entries.iter().map(|entry| entry.run(true))).await
    }

    /// Runs the checks of `component`, or all, side by side; those that are under way are waited for.
    pub(in crate::health) async fn run_or_join(&self, component: Option<&str>) -> Vec<Arc<CheckReport>> {
        let entries = self.entries(component);
        join_all(entries.iter().map(|entry| entry.run(false))).await
    }

    /// Tells what is counted.
    #[allow(clippy::cast_precision_loss)] // Counts stay far below 2^52.
    pub(in crate::health) fn observe(&self, emit: &mut Emit<'_>) {
        let now = clock::now();
        for entry in self.entries(None) {
            let (counts, report) = entry.counts(now);
            let names = [("component", &*report.component), ("check", &*report.check)];
            for (outcome, count) in OUTCOMES.into_iter().zip(counts).filter(|(_, count)| *count > 0) {
                emit(&CHECK_RUNS, count as f64, &[names[0], names[1], ("outcome", outcome.as_str())]);
            }
            if report.outcome != CheckOutcome::Pending {
                emit(&CHECK_PASSING, f64::from(u8::from(!report.outcome.is_failure())), &names);
            }
        }
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.entries(None).iter().for_each(|entry| entry.stop());
    }
}

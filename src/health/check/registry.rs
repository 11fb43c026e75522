//! The checks of one health.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::runtime::Handle;

use super::entry::{Entry, OUTCOMES};
use super::erased::ErasedCheck;
use super::runner::Runner;
use crate::base::clock;
use crate::base::error::ConfigError;
use crate::base::every::Every;
use crate::base::every::Schedule;
use crate::base::sync::Mutex;
use crate::health::CheckOutcome;
use crate::health::CheckReport;
use crate::health::texts::Texts;
use crate::signal::capacity::CHECKS;
use crate::signal::{CHECK_PASSING, CHECK_RUNS, Emit};

/// Maximum number of checks: each has its own metric series.
const MAX_CHECKS: usize = CHECKS;

/// Maximum length of a name in bytes, which is a label.
const MAX_NAME: usize = 128;

/// The names of the component and the check.
type Key = (Arc<str>, Arc<str>);

/// The checks of one health, by component and name.
#[derive(Debug, Default)]
pub(in crate::health) struct Checks {
    entries: Mutex<BTreeMap<Key, Arc<Entry>>>,
}

impl Checks {
    /// Adds a check and starts its task on the current Tokio runtime. `changed` is called after each change of the outcome.
    pub(super) fn add(
        &self,
        (component, check): Key,
        every: Every,
        erased: Arc<dyn ErasedCheck>,
        changed: Box<dyn Fn() + Send + Sync>,
        texts: Texts,
    ) -> Result<Arc<Entry>, ConfigError> {
        let path =
            if component == check { format!("check.{check}") } else { format!("check.{component}.{check}") };
        every.validate().map_err(|error| error.within(&path))?;
        for (setting, name) in [("component", &component), ("name", &check)] {
            let in_range = !name.is_empty() && name.len() <= MAX_NAME;
            ConfigError::check(in_range, setting, name, "a text of 1 to 128 bytes")
                .map_err(|error| error.within("check"))?;
        }
        let runtime = Handle::try_current().map_err(|_| {
            let reason = "a check needs a Tokio runtime; add it in async code, or after `Handle::enter`";
            ConfigError::because(path.clone(), "run without a Tokio runtime", reason)
        })?;
        let entry = Arc::new(Entry::new(Arc::clone(&component), Arc::clone(&check), every, changed, texts));
        let key = (component, check);
        {
            let mut entries = self.entries.lock();
            if entries.contains_key(&key) {
                let reason =
                    "stop the check of that name first, or give this one its own name with `check_named`";
                return Err(ConfigError::because(path, "registered twice", reason));
            }
            if entries.len() >= MAX_CHECKS {
                let reason =
                    format!("a health has at most {MAX_CHECKS} checks; stop those that are no longer needed");
                return Err(ConfigError::because(path, "added", reason));
            }
            entries.insert(key, Arc::clone(&entry));
        }
        let schedule = Schedule::new(&every, clock::now(), fastrand::f64());
        let task = runtime.spawn(Runner::new(Arc::clone(&entry), erased).run_until_stopped(schedule));
        entry.set_task(task.abort_handle());
        Ok(entry)
    }

    /// Stops `entry` and removes it. A newer check of the same name stays.
    pub(super) fn remove(&self, entry: &Arc<Entry>) {
        self.entries.lock().retain(|_, known| !Arc::ptr_eq(known, entry));
        entry.stop();
    }

    /// The checks of `component`, or all.
    fn entries(&self, component: Option<&str>) -> Vec<Arc<Entry>> {
        let entries = self.entries.lock();
        let wanted = |key: &Key| component.is_none_or(|component| *key.0 == *component);
        entries.iter().filter(|(key, _)| wanted(key)).map(|(_, entry)| Arc::clone(entry)).collect()
    }

    /// The last result of each check, in the order of components.
    pub(in crate::health) fn reports(&self) -> Vec<Arc<CheckReport>> {
        let now = clock::now();
        self.entries.lock().values().map(|entry| entry.report(now)).collect()
    }

    /// Starts a new run of all checks of `component`, concurrently, and returns their results. A run that is in progress
    /// does not count, because it may have started before the change that the caller made.
    pub(in crate::health) async fn run(&self, component: &str) -> Vec<Arc<CheckReport>> {
        let entries = self.entries(Some(component));
        join_all(entries.iter().map(|entry| entry.run(true))).await
    }

    /// Runs the checks of `component`, or all, concurrently. A run that is in progress is joined.
    pub(in crate::health) async fn run_or_join(&self, component: Option<&str>) -> Vec<Arc<CheckReport>> {
        let entries = self.entries(component);
        join_all(entries.iter().map(|entry| entry.run(false))).await
    }

    /// Emits the metrics of all checks.
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
            entry.measured.observe(&report.component, &report.check, emit);
        }
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.entries(None).iter().for_each(|entry| entry.stop());
    }
}

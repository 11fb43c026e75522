//! One log line for each failure, and one for all that repeat it within a time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

use super::failure::Failure;
use super::table::OTHER;
use super::texts::Texts;
use crate::base::clock::{self, Tick};
use crate::base::sync::Mutex;

/// The maximum number of kinds of failures that are distinguished. The others are counted together.
const CAPACITY: usize = 64;

/// The maximum number of bytes of the message in a log line.
const LONGEST: usize = 4 * 1_024;

/// Writes the log lines of failed items and tasks: see the [module](self).
pub(super) struct FailureLog {
    worker: Arc<str>,
    every: Duration,
    texts: Texts,
    entries: Mutex<BTreeMap<Key, Entry>>,
}

/// What failed, such as "item" or "task `sync`", and the type of its error.
type Key = (String, String);

struct Entry {
    /// The end of the time within which a failure repeats the one that was logged.
    until: Tick,
    /// The failures since then.
    more: u64,
}

/// What to do about a failure.
enum Line {
    /// Log it, and the number of failures before it that were not logged.
    Write { unlogged: u64 },
    /// It is counted. `first` is set for the first since the last line.
    Count { first: bool },
}

impl FailureLog {
    pub(super) fn new(worker: Arc<str>, every: Duration, texts: Texts) -> Arc<Self> {
        Arc::new(Self { worker, every, texts, entries: Mutex::default() })
    }

    /// Logs that `what` failed, or counts it if such a failure was logged a short time ago.
    pub(super) fn failed(self: &Arc<Self>, what: &str, failure: &Failure) {
        let mut key = (what.to_owned(), failure.label().to_owned());
        match self.count(&mut key) {
            Line::Write { unlogged } => {
                let message = self.texts.clean(&failure.line(), LONGEST);
                let and = if unlogged > 0 { self.summary(unlogged) } else { String::new() };
                tracing::error!(
                    target: "campanile::worker",
                    worker = &*self.worker,
                    "error.type" = &*key.1,
                    "{what} failed: {message}{and}"
                );
            }
            Line::Count { first: true } => self.report_later(key),
            Line::Count { first: false } => {}
        }
    }

    fn count(&self, key: &mut Key) -> Line {
        let now = clock::now();
        let mut entries = self.entries.lock();
        if entries.len() >= CAPACITY && !entries.contains_key(key) {
            entries.retain(|_, entry| entry.more > 0 || now < entry.until);
            if entries.len() >= CAPACITY {
                *key = (OTHER.to_owned(), OTHER.to_owned());
            }
        }
        let entry = entries.entry(key.clone()).or_insert(Entry { until: Tick::default(), more: 0 });
        if now < entry.until {
            entry.more += 1;
            return Line::Count { first: entry.more == 1 };
        }
        entry.until = now + self.every;
        Line::Write { unlogged: std::mem::take(&mut entry.more) }
    }

    /// Starts a task that reports the repeated failures at the end of their time. Without a runtime, the next line does.
    fn report_later(self: &Arc<Self>, key: Key) {
        let Ok(runtime) = Handle::try_current() else { return };
        let until = self.entries.lock().get(&key).map_or(Tick::default(), |entry| entry.until);
        let (log, wait): (Weak<Self>, _) = (Arc::downgrade(self), until.since(clock::now()));
        runtime.spawn(async move {
            sleep(wait).await;
            if let Some(log) = log.upgrade() {
                log.report(&key);
            }
        });
    }

    fn report(&self, key: &Key) {
        let more = {
            let mut entries = self.entries.lock();
            let Some(entry) = entries.get_mut(key) else { return };
            entry.until = clock::now() + self.every;
            std::mem::take(&mut entry.more)
        };
        self.write_summary(key, more);
    }

    /// Reports what was not reported yet.
    pub(super) fn report_all(&self) {
        let open: Vec<Key> = {
            let entries = self.entries.lock();
            entries.iter().filter(|(_, entry)| entry.more > 0).map(|(key, _)| key.clone()).collect()
        };
        open.iter().for_each(|key| self.report(key));
    }

    fn write_summary(&self, (what, error_type): &Key, more: u64) {
        if more > 0 {
            tracing::error!(
                target: "campanile::worker",
                parent: None,
                worker = &*self.worker,
                "error.type" = &**error_type,
                "{what} failed{}",
                self.summary(more)
            );
        }
    }

    fn summary(&self, more: u64) -> String {
        format!(", and {more} more like it in the last {}", humantime::format_duration(self.every))
    }
}

impl Drop for FailureLog {
    fn drop(&mut self) {
        self.report_all();
    }
}

impl fmt::Debug for FailureLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailureLog").field("worker", &self.worker).finish_non_exhaustive()
    }
}

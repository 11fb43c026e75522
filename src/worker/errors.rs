//! The errors of a worker: counts by type, and the newest ones.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::settings::WorkerSettings;
use super::table::Table;
use super::texts::Texts;
use crate::base::cut::shorten;
use crate::base::moment;
use crate::base::outcome::FailureKind;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicU64, Ordering};
pub(super) use crate::layers::attempts::MESSAGE as LONGEST_MESSAGE;
use crate::signal::{current_correlation, current_trace};

/// Types of errors that are counted apart.
const TYPES: usize = 64;

/// The maximum number of bytes of a backtrace.
const LONGEST_BACKTRACE: usize = 8 * 1_024;

/// An error of a worker: one that was recorded, or that of a failed item or task. Secrets are removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RecordedError {
    /// When it was recorded.
    #[serde(with = "crate::base::moment::as_micros")]
    pub at: SystemTime,
    /// What failed: `item`, the name of a task, or empty for an error that was recorded.
    pub of: String,
    /// The kind of failure.
    pub kind: FailureKind,
    /// The type of the error, as far as it is known.
    pub error_type: String,
    /// The message.
    pub message: String,
    /// The messages of its sources, outermost first.
    pub causes: Vec<String>,
    /// The fields that were recorded with it.
    pub context: BTreeMap<String, String>,
    /// The backtrace of the place where it was recorded, if `RUST_BACKTRACE` asks for it.
    pub backtrace: Option<String>,
    /// The trace in which it was recorded.
    pub trace_id: Option<String>,
    /// The span in which it was recorded.
    pub span_id: Option<String>,
    /// The correlation id.
    pub correlation_id: Option<String>,
}

impl RecordedError {
    /// The error of `failure`, which happened in the current span.
    pub(super) fn new(failure: &Failure, of: &str, texts: &Texts) -> Self {
        let ids = current_trace();
        let (trace_id, span_id) = ids.map(|ids| (ids.trace_id, ids.span_id)).unzip();
        Self {
            at: moment::now(),
            of: of.to_owned(),
            kind: failure.kind,
            error_type: failure.text.error_type.clone(),
            message: texts.clean(&failure.text.message, LONGEST_MESSAGE),
            causes: failure.text.causes.iter().map(|cause| texts.clean(cause, LONGEST_MESSAGE)).collect(),
            context: BTreeMap::new(),
            backtrace: None,
            trace_id,
            span_id,
            correlation_id: current_correlation().map(|id| texts.value("correlation_id", &id)),
        }
    }

    /// Adds the backtrace of the caller, if the environment asks for it.
    pub(super) fn with_backtrace(mut self) -> Self {
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            let mut text = backtrace.to_string();
            shorten(&mut text, LONGEST_BACKTRACE);
            self.backtrace = Some(text);
        }
        self
    }

    /// The bytes of its texts.
    fn bytes(&self) -> usize {
        let context: usize = self.context.iter().map(|(name, value)| name.len() + value.len()).sum();
        let causes: usize = self.causes.iter().map(String::len).sum();
        let ids = [&self.backtrace, &self.trace_id, &self.span_id, &self.correlation_id];
        let ids: usize = ids.into_iter().flatten().map(String::len).sum();
        size_of::<Self>()
            + self.of.len()
            + self.error_type.len()
            + self.message.len()
            + context
            + causes
            + ids
    }
}

/// See the [module](self).
pub(super) struct ErrorBook {
    by_type: Table<AtomicU64>,
    recent: Mutex<Recent>,
    most: usize,
    most_bytes: usize,
}

/// The newest errors, oldest first.
#[derive(Default)]
struct Recent {
    errors: VecDeque<Arc<RecordedError>>,
    bytes: usize,
}

impl ErrorBook {
    pub(super) fn new(settings: &WorkerSettings) -> Self {
        Self {
            by_type: Table::new(TYPES),
            recent: Mutex::default(),
            most: settings.recent_errors,
            most_bytes: settings.recent_errors_bytes,
        }
    }

    /// Counts an error under `label`, and keeps it as one of the newest.
    pub(super) fn add(&self, label: &str, error: RecordedError) {
        self.by_type.entry(label, |_| AtomicU64::new(0)).fetch_add(1, Ordering::Relaxed);
        let bytes = error.bytes();
        if self.most == 0 || bytes > self.most_bytes {
            return;
        }
        let error = Arc::new(error);
        let mut recent = self.recent.lock();
        recent.bytes += bytes;
        recent.errors.push_back(error);
        while recent.errors.len() > self.most || recent.bytes > self.most_bytes {
            let Some(oldest) = recent.errors.pop_front() else { break };
            recent.bytes -= oldest.bytes();
        }
    }

    /// The counts by type.
    pub(super) fn by_type(&self) -> BTreeMap<Arc<str>, u64> {
        let all = self.by_type.all();
        all.iter().map(|(name, count)| (Arc::clone(name), count.load(Ordering::Relaxed))).collect()
    }

    /// The newest errors, latest first.
    pub(super) fn recent(&self) -> Vec<Arc<RecordedError>> {
        self.recent.lock().errors.iter().rev().cloned().collect()
    }
}

impl fmt::Debug for ErrorBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorBook").finish_non_exhaustive()
    }
}

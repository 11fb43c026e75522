//! `[worker.NAME]`.

use serde::{Deserialize, Serialize};

use crate::dead_letter::DeadLetterSettings;
use crate::retry::RetrySettings;

/// Work that is no request: `[worker.NAME]`.
///
/// `retry` and `letters` are tables: `false` turns one off, and `true` turns it on with its defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct WorkerSection {
    /// Retries of items that failed. Default: off, because an item may have had an effect.
    #[serde(with = "super::switch")]
    pub retry: Option<RetrySettings>,
    /// The queue of items that failed for good. What is not set here is as in `[letters.queue]`. Default: off, unless
    /// `letters.everywhere` is set.
    #[serde(with = "super::switch")]
    pub letters: Option<DeadLetterSettings>,
    /// The errors that its snapshot shows, and how often a failure that repeats is logged.
    pub limits: crate::worker::WorkerSettings,
}

//! What a queue asks of its store.
//!
//! Every question goes the same way, so that none of them can forget that the store may be anyone's: a panic comes
//! back as an error, and how long the answer took is told.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use crate::base::clock;
use crate::base::sync::Mutex;
use crate::signal::{DurationRecorder, LETTERS_STORE_DURATION};
use crate::store::error::Kind;
use crate::store::{Pending, Store, StoreError, guarded};

words! {
    /// What a store can be asked for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(super) enum Operation {
        Put = "put",
        Get = "get",
        List = "list",
        Count = "count",
        Groups = "groups",
        Frequencies = "frequencies",
        Claim = "claim",
        Renew = "renew",
        Settle = "settle",
        Purge = "purge",
        Purges = "purges",
        Expire = "expire",
    }
    /// The operation as a metric attribute: one word.
    as_str;
}

/// How long the store takes, by what it was asked for and how it failed.
#[derive(Debug, Default)]
pub(super) struct Latency {
    /// Made when they are needed: most failures never come.
    recorders: Mutex<BTreeMap<Key, Arc<DurationRecorder>>>,
}

/// What was asked, and how it failed.
type Key = (Operation, Option<Kind>);

impl Latency {
    pub(super) fn record(&self, queue: &str, operation: Operation, failed: Option<Kind>, took: Duration) {
        let recorder = Arc::clone(self.recorders.lock().entry((operation, failed)).or_insert_with(|| {
            let mut attributes = vec![
                ("queue", Cow::Owned(queue.to_owned())),
                ("operation", Cow::Borrowed(operation.as_str())),
            ];
            attributes.extend(failed.map(|kind| ("error.type", Cow::Borrowed(kind.as_str()))));
            Arc::new(DurationRecorder::new(&LETTERS_STORE_DURATION, attributes))
        }));
        recorder.record(took);
    }
}

impl Core {
    /// Asks the store. A question that nobody waits for any more is not measured.
    pub(super) async fn ask<'a, T>(
        &'a self,
        operation: Operation,
        question: impl FnOnce(&'a dyn Store) -> Pending<'a, T>,
    ) -> Result<T, StoreError> {
        let began = clock::now();
        let answer = guarded(|| question(&*self.store)).await;
        let failed = answer.as_ref().err().map(StoreError::kind);
        self.latency.record(&self.name, operation, failed, clock::now().since(began));
        answer
    }
}

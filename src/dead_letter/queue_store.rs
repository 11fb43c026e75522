//! The store as one queue uses it.
//!
//! A store can be the application's own code. So each call goes through one function, which turns a panic into an
//! error and records the duration.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::base::clock;
use crate::base::panics::catch;
use crate::base::sync::Mutex;
use crate::signal::{DurationRecorder, LETTERS_STORE_DURATION};
use crate::store::error::Kind;
use crate::store::{
    Claim, Depth, Entry, Frequency, Group, LetterFilter, LetterId, Limits, Owner, Pending, PurgeRecord, Put,
    Settled, Store, StoreError, guarded,
};

words! {
    /// A call to a store.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Operation {
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

/// An operation, and the kind of its failure.
type Call = (Operation, Option<Kind>);

/// The store of one queue, with the name and the limits of the queue.
#[derive(Debug)]
pub(super) struct QueueStore {
    queue: Arc<str>,
    store: Arc<dyn Store>,
    limits: Limits,
    /// A recorder is made when it is first needed, because most failures never occur.
    durations: Mutex<BTreeMap<Call, Arc<DurationRecorder>>>,
}

impl QueueStore {
    pub(super) fn new(queue: Arc<str>, store: Arc<dyn Store>, limits: Limits) -> Self {
        Self { queue, store, limits, durations: Mutex::default() }
    }

    /// The store itself, for another queue in it.
    pub(super) fn inner(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Calls the store. A call whose future is dropped is not measured.
    async fn call<'a, T>(
        &'a self,
        operation: Operation,
        call: impl FnOnce(&'a dyn Store) -> Pending<'a, T>,
    ) -> Result<T, StoreError> {
        let began = clock::now();
        let answer = guarded(|| call(&*self.store)).await;
        let failed = answer.as_ref().err().map(StoreError::kind);
        self.record(operation, failed, clock::now().since(began));
        answer
    }

    fn record(&self, operation: Operation, failed: Option<Kind>, took: Duration) {
        let recorder = Arc::clone(self.durations.lock().entry((operation, failed)).or_insert_with(|| {
            let mut attributes = vec![
                ("queue", Cow::Owned(self.queue.to_string())),
                ("operation", Cow::Borrowed(operation.as_str())),
            ];
            attributes.extend(failed.map(|kind| ("error.type", Cow::Borrowed(kind.as_str()))));
            Arc::new(DurationRecorder::new(&LETTERS_STORE_DURATION, attributes))
        }));
        recorder.record(took);
    }

    /// Records that the store did not answer a `put` within `limit`.
    pub(super) fn record_put_timeout(&self, limit: Duration) {
        self.record(Operation::Put, Some(Kind::TimedOut), limit);
    }

    pub(super) async fn put(&self, entry: Entry) -> Result<Put, StoreError> {
        self.call(Operation::Put, |store| store.put(entry, self.limits)).await
    }

    pub(super) async fn get(&self, id: LetterId) -> Result<Option<Entry>, StoreError> {
        self.call(Operation::Get, |store| store.get(&self.queue, id)).await
    }

    pub(super) async fn list(&self, filter: &LetterFilter) -> Result<Vec<Entry>, StoreError> {
        self.call(Operation::List, |store| store.list(&self.queue, filter)).await
    }

    pub(super) async fn count(&self, filter: &LetterFilter) -> Result<u64, StoreError> {
        self.call(Operation::Count, |store| store.count(&self.queue, filter)).await
    }

    pub(super) async fn groups(&self, filter: &LetterFilter) -> Result<Vec<Group>, StoreError> {
        self.call(Operation::Groups, |store| store.groups(&self.queue, filter)).await
    }

    pub(super) async fn frequencies(&self, last: Duration) -> Result<Vec<Frequency>, StoreError> {
        self.call(Operation::Frequencies, |store| store.frequencies(&self.queue, last)).await
    }

    pub(super) async fn claim(&self, filter: &LetterFilter, claim: Claim) -> Result<Vec<Entry>, StoreError> {
        self.call(Operation::Claim, |store| store.claim(&self.queue, filter, claim)).await
    }

    pub(super) async fn renew(&self, ids: &[LetterId], claim: Claim) -> Result<Vec<LetterId>, StoreError> {
        self.call(Operation::Renew, |store| store.renew(&self.queue, ids, claim)).await
    }

    pub(super) async fn settle(&self, owner: Owner, settled: Vec<Settled>) -> Result<Vec<bool>, StoreError> {
        self.call(Operation::Settle, |store| store.settle(&self.queue, owner, settled)).await
    }

    pub(super) async fn purge(&self, record: PurgeRecord) -> Result<PurgeRecord, StoreError> {
        self.call(Operation::Purge, |store| store.purge(&self.queue, record)).await
    }

    pub(super) async fn purges(&self) -> Result<Vec<PurgeRecord>, StoreError> {
        self.call(Operation::Purges, |store| store.purges(&self.queue)).await
    }

    pub(super) async fn expire(&self, now: SystemTime) -> Result<u64, StoreError> {
        self.call(Operation::Expire, |store| store.expire(&self.queue, now)).await
    }

    /// The depth of the queue; zero if the store panics, because the caller collects metrics.
    pub(super) fn depth(&self) -> Depth {
        catch(|| self.store.depth(&self.queue)).unwrap_or_default()
    }

    /// Announces the queue to the store. A panic of the store has no effect.
    pub(super) fn attach(&self) {
        let _ = catch(|| self.store.attach(&self.queue, self.limits));
    }
}

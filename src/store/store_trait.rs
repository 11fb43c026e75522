//! The trait that every store implements.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use super::claim::{Claim, Settled};
use super::depth::Depth;
use super::entry::Entry;
use super::error::StoreError;
use super::filter::LetterFilter;
use super::group::{Frequency, Group};
use super::ids::{LetterId, Owner};
use super::purge::PurgeRecord;
use super::put::{Limits, Put};

/// The future of a [`Store`] call. It is boxed because a store is chosen at run time and called only after a request
/// has failed.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Keeps entries, each under the name of a queue. Several queues may share one store.
///
/// A store must not block the thread that polls it. Then the queue handles all its faults: slow calls, errors and
/// panics.
///
/// [`LetterFilter::limit`] limits the number of entries, oldest first; for groups, the number of groups.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a store of dead letters",
    label = "this has to implement `campanile::store::Store`",
    note = "the queue's own stores have constructors: `DeadLetterQueue::in_memory`, `sqlite` and `redis`"
)]
pub trait Store: Any + fmt::Debug + Send + Sync {
    /// Keeps `entry`. The future ends when the entry is stored as durably as the store can. If the id exists already,
    /// the existing entry stays.
    ///
    /// If the future is dropped early, the store should not keep the entry, where it can avoid that.
    fn put(&self, entry: Entry, limits: Limits) -> Pending<'_, Put>;

    /// The entry `id`.
    fn get<'a>(&'a self, queue: &'a str, id: LetterId) -> Pending<'a, Option<Entry>>;

    /// The entries that match `filter`, oldest first.
    fn list<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Entry>>;

    /// Counts the entries that match `filter`, including those of other processes.
    fn count<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, u64>;

    /// The entries that match `filter` by fingerprint, largest group first.
    fn groups<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter) -> Pending<'a, Vec<Group>>;

    /// Counts the failures within `last` by fingerprint, most frequent first. The resolution is one minute, and `last`
    /// is cut to one day. Entries that were put count, and those of
    /// [`Settled::Failed`]. Beyond 256 fingerprints in one minute, all further ones count as [`Fingerprint::OTHER`].
    ///
    /// [`Fingerprint::OTHER`]: super::Fingerprint::OTHER
    fn frequencies<'a>(&'a self, queue: &'a str, last: Duration) -> Pending<'a, Vec<Frequency>>;

    /// Claims the oldest entries that match `filter` and that no owner holds. No two owners ever hold the same entry.
    /// If more than a thousand entries are due, those that have been due for longest may come first.
    ///
    /// Expired entries are left out. Entries that are set aside are left out unless the filter asks for them.
    /// [`Claim::bytes`] limits the memory of the result.
    fn claim<'a>(&'a self, queue: &'a str, filter: &'a LetterFilter, claim: Claim)
    -> Pending<'a, Vec<Entry>>;

    /// Extends the lease on `ids` to one lease from now. Returns the ids that the owner still holds.
    fn renew<'a>(&'a self, queue: &'a str, ids: &'a [LetterId], claim: Claim) -> Pending<'a, Vec<LetterId>>;

    /// Records the outcomes of entries that `owner` held. Returns for each whether it changed something. The store may
    /// write all of them at once.
    fn settle<'a>(&'a self, queue: &'a str, owner: Owner, settled: Vec<Settled>) -> Pending<'a, Vec<bool>>;

    /// Removes the entries that match the record's filter and keeps the record. Returns it with their number.
    fn purge<'a>(&'a self, queue: &'a str, record: PurgeRecord) -> Pending<'a, PurgeRecord>;

    /// The records of the last 1,000 purges, latest first.
    fn purges<'a>(&'a self, queue: &'a str) -> Pending<'a, Vec<PurgeRecord>>;

    /// Removes the entries that have expired at `now`, by the wall clock of this process. Returns how many.
    fn expire<'a>(&'a self, queue: &'a str, now: SystemTime) -> Pending<'a, u64>;

    /// The state of a queue as far as this process knows it. It is called when metrics are collected and must not
    /// wait.
    fn depth(&self, queue: &str) -> Depth;

    /// Called when a queue is first used and when its limits change, for stores that work in the background.
    fn attach(&self, queue: &str, limits: Limits) {
        let _ = (queue, limits);
    }
}

//! Letters grouped by their cause, and how often each cause occurred.

use std::time::{Duration, SystemTime};

use super::letter::Letter;
use super::queue::DeadLetterQueue;
use crate::store::{Fingerprint, Frequency, Group, LetterFilter, StoreError};

/// The letters with one cause: see [`DeadLetterQueue::groups`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LetterGroup {
    /// The fingerprint of their cause.
    pub fingerprint: Fingerprint,
    /// How many letters wait.
    pub letters: u64,
    /// The earliest first failure. Letters that were removed since the group was last empty count too.
    pub first_seen: SystemTime,
    /// The latest last failure. Letters that were removed since the group was last empty count too.
    pub last_seen: SystemTime,
    /// The newest letter. The messages of the others differ in ids, numbers, names, addresses, times and lists.
    pub example: Letter,
}

impl LetterGroup {
    fn new(group: Group) -> Self {
        let Group { fingerprint, letters, first_seen, last_seen, example } = group;
        Self { fingerprint, letters, first_seen, last_seen, example: Letter::from_entry(example) }
    }
}

impl DeadLetterQueue {
    /// Groups the letters that match `filter` by their cause, largest group first. The limit of the filter is the largest
    /// number of groups.
    ///
    /// `LetterFilter::all().set_aside(true)` selects the letters that need a person. If they cannot be sent,
    /// [`Letter::unsendable`] of the example says why; otherwise they failed too often.
    ///
    /// # Errors
    /// When the store fails.
    ///
    /// # Example
    /// ```
    /// use campanile::DeadLetterQueue;
    /// use campanile::dead_letter::LetterFilter;
    /// use tower::{Layer, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower::BoxError> {
    /// let queue = DeadLetterQueue::in_memory(1_000);
    /// for order in [7, 8, 9] {
    ///     let broken =
    ///         service_fn(|order: u32| async move { Err::<(), _>(format!("order {order}: no connection")) });
    ///     queue.layer().layer(broken).oneshot(order).await.unwrap_err();
    /// }
    /// let groups = queue.groups(LetterFilter::all().limit(10)).await?;
    /// assert_eq!((groups.len(), groups[0].letters), (1, 3));
    /// assert_eq!(groups[0].example.message, "order 9: no connection");
    /// // Selects only this group: to list, to send again or to purge.
    /// let same = LetterFilter::all().fingerprint(groups[0].fingerprint);
    /// assert_eq!(queue.count(same).await?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn groups(&self, filter: LetterFilter) -> Result<Vec<LetterGroup>, StoreError> {
        let groups = self.core().store.groups(&filter).await?;
        Ok(groups.into_iter().map(LetterGroup::new).collect())
    }

    /// Returns how often requests failed for good within `last`, by cause, most frequent first. It counts requests that
    /// were parked and letters that failed again, whether or not they still wait.
    ///
    /// It counts whole minutes, and looks back a day at most.
    ///
    /// # Errors
    /// When the store fails.
    ///
    /// # Example
    /// ```
    /// use campanile::DeadLetterQueue;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), campanile::store::StoreError> {
    /// let queue = DeadLetterQueue::in_memory(1_000);
    /// for frequency in queue.frequencies(Duration::from_secs(3_600)).await? {
    ///     println!("{} × {} in {}", frequency.failures, frequency.kind, frequency.component);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn frequencies(&self, last: Duration) -> Result<Vec<Frequency>, StoreError> {
        self.core().store.frequencies(last).await
    }
}

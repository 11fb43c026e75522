//! Letters by what caused them, and how often it happened.

use std::time::{Duration, SystemTime};

use super::DeadLetterQueue;
use super::asking::Operation;
use super::letter::Letter;
use crate::base::outcome::FailureKind;
use crate::store::{Fingerprint, Frequency, Group, LetterFilter, StoreError};

/// The letters of one cause.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LetterGroup {
    /// What they have in common.
    pub fingerprint: Fingerprint,
    /// How many wait.
    pub letters: u64,
    /// When the first of them failed first, those that are gone by now included, since the group last was empty.
    pub first_seen: SystemTime,
    /// When the last of them failed last, likewise.
    pub last_seen: SystemTime,
    /// The newest of them.
    pub example: Letter,
}

impl LetterGroup {
    fn new(group: Group) -> Self {
        let Group { fingerprint, letters, first_seen, last_seen, example } = group;
        Self { fingerprint, letters, first_seen, last_seen, example: Letter::from_entry(example) }
    }

    /// The component that failed.
    #[must_use]
    pub fn component(&self) -> &str {
        &self.example.component
    }

    /// How it failed.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.example.kind
    }

    /// The type of the error, or the HTTP status.
    #[must_use]
    pub fn error_type(&self) -> &str {
        &self.example.error_type
    }

    /// What the error of the example said; those of the others differ in ids, numbers, names, addresses, times and lists.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.example.message
    }
}

impl DeadLetterQueue {
    /// The letters that `filter` lets through by what caused them, the largest group first; its limit is the most
    /// groups.
    ///
    /// Those that need a person: `LetterFilter::all().set_aside(true)`. [`Letter::unsendable`] of the example says why, where it
    /// is not for failing too often.
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
    /// assert_eq!(groups[0].message(), "order 9: no connection");
    /// // Only those, to look at, to send again or to purge.
    /// let same = LetterFilter::all().fingerprint(groups[0].fingerprint);
    /// assert_eq!(queue.count(same).await?, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn groups(&self, filter: LetterFilter) -> Result<Vec<LetterGroup>, StoreError> {
        let core = self.core();
        let groups = core.ask(Operation::Groups, |store| store.groups(&core.name, &filter)).await?;
        Ok(groups.into_iter().map(LetterGroup::new).collect())
    }

    /// How often requests failed for good within `last`, by cause, the most frequent first: those that were parked,
    /// and letters that failed again, whether or not they still wait.
    ///
    /// It counts by the minute and looks back a day at most.
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
    ///     println!("{} × {} in {}", frequency.failures, frequency.kind.as_str(), frequency.component);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn frequencies(&self, last: Duration) -> Result<Vec<Frequency>, StoreError> {
        let core = self.core();
        core.ask(Operation::Frequencies, |store| store.frequencies(&core.name, last)).await
    }
}

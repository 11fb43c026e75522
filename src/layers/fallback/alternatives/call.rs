//! Calls on the first alternative that works.

use std::future::Future;
use std::sync::Arc;

use super::entry::Entry;
use super::error::{AlternativeFailure, AlternativesError};
use super::handle::{Alternatives, Inner};
use super::infrastructure::Infrastructure;
use crate::base::error::Cause;
use crate::base::outcome::{ByCause, Classify};
use crate::base::sync::atomic::Ordering;

/// The failures of one call so far.
type Failures<E> = Vec<(Arc<str>, AlternativeFailure<E>)>;

impl<C: Clone> Alternatives<C> {
    /// Runs `work` on a clone of the connection in use; on the next alternative if that fails. [`Infrastructure`] decides what
    /// failed.
    ///
    /// The alternative that worked last stays in use. Those before it are tried again after their backoff, by one call each, which
    /// really runs on it and goes on to the next if it fails. If none of the others works, those that wait are tried too. Only one
    /// caller connects to an alternative at a time, and a connect ends at its time limit. A connection on which a call failed is
    /// dropped. `work` runs more than once if it fails on a connection: what it does has to be safe to repeat.
    ///
    /// # Errors
    /// [`AlternativesError::Inner`] with an error that is no failure, otherwise [`AlternativesError::NoneWorks`].
    pub async fn call<F, Fut, T, E, K>(&self, work: F) -> Result<T, AlternativesError<E>>
    where
        F: FnMut(C) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: Cause<K>,
    {
        self.call_with(ByCause::new(Infrastructure), work).await
    }

    /// [`Alternatives::call`] with a classifier: it decides which results lead to the next alternative.
    ///
    /// # Errors
    /// As [`Alternatives::call`].
    pub async fn call_with<D, F, Fut, T, E>(
        &self,
        classifier: D,
        mut work: F,
    ) -> Result<T, AlternativesError<E>>
    where
        D: Classify<T, E>,
        F: FnMut(C) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let inner = &*self.inner;
        let started_at = inner.current.load(Ordering::Acquire);
        let mut tried = 0_u64;
        let mut failures: Failures<E> = Vec::new();
        // A failed answer, if the classifier says so.
        let mut answer = None;
        while let Some((place, entry)) = inner.next(started_at, &mut tried) {
            let connection = match entry.connection(&inner.settings).await {
                Ok(connection) => connection,
                Err(error) => {
                    failures.push((Arc::clone(&entry.name), AlternativeFailure::Connect(error)));
                    continue;
                }
            };
            entry.calls.fetch_add(1, Ordering::Relaxed);
            let result = work(C::clone(&connection)).await;
            if classifier.classify(result.as_ref()).failure().is_none() {
                if place != started_at || !failures.is_empty() {
                    entry.worked();
                    inner.use_from_now(started_at, place);
                }
                return result.map_err(AlternativesError::Inner);
            }
            entry.failures.fetch_add(1, Ordering::Relaxed);
            entry.broke(&connection, &inner.settings);
            match result {
                Ok(failed) => answer = answer.or(Some(failed)),
                Err(error) => failures.push((Arc::clone(&entry.name), AlternativeFailure::Call(error))),
            }
        }
        inner.exhausted.fetch_add(1, Ordering::Relaxed);
        match answer {
            Some(failed) => Ok(failed),
            None => Err(AlternativesError::NoneWorks(failures)),
        }
    }
}

impl<C> Inner<C> {
    /// The next alternative to try: one before that in use whose probe is due; then that in use and those behind it, except those
    /// that failed a short time ago; then the rest.
    fn next(&self, current: usize, tried: &mut u64) -> Option<(usize, &Entry<C>)> {
        let is_new = |place: &usize| *tried & (1 << place) == 0;
        let probed = (*tried == 0)
            .then(|| (0..current).find(|place| self.entries[*place].claim_probe(&self.settings)))
            .flatten();
        let end = self.entries.len();
        let place = probed
            .or_else(|| (current..end).filter(is_new).find(|place| !self.entries[*place].is_waiting()))
            .or_else(|| (current..end).chain(0..current).find(is_new))?;
        *tried |= 1 << place;
        Some((place, &self.entries[place]))
    }

    /// Uses the alternative at `place` for the next calls, unless another call has decided in the meantime.
    fn use_from_now(&self, before: usize, place: usize) {
        // A connection from before may have failed while the alternative has a new one, which works.
        let has_reason = place < before || self.entries[before].has_failed();
        let decided = before != place
            && has_reason
            && self.current.compare_exchange(before, place, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if !decided {
            return;
        }
        self.changes.fetch_add(1, Ordering::Relaxed);
        let (alternatives, from) = (&*self.name, &*self.entries[before].name);
        let to = &*self.entries[place].name;
        if place < before {
            tracing::info!(target: "campanile::fallback", alternatives, from, to, "an earlier alternative works again and is used");
        } else {
            tracing::warn!(target: "campanile::fallback", alternatives, from, to, "an alternative failed and the next one is used");
        }
    }
}

//! The last good answer to the same question.

use std::fmt;
use std::future::{Ready, ready};
use std::hash::Hash;
use std::sync::Arc;

use tower::BoxError;

use super::kinds::{FallbackKind, NotKept};
use super::policy::Policy;
use super::store::{Fingerprint, Store};
use super::substitute::Substitute;
use crate::base::panics::catch;

/// The last good answer: see [`last_good`].
pub struct LastGood<F, Res> {
    pub(super) key: F,
    pub(super) size: fn(&Res) -> usize,
    pub(super) store: Arc<Store<Res>>,
}

/// Answers with the last good answer to a request with the same key.
///
/// Each good answer is cloned and kept, within the bounds of [`FallbackSettings`](super::FallbackSettings). Of the key, only a
/// keyed hash of 128 bits is kept. The layers made from one `LastGood`, and clones of it, share its answers.
///
/// `key` has to name all that the answer depends on, also the caller if answers differ between callers. Over HTTP the method
/// and the headers named by `Vary` are added to it.
pub fn last_good<Req, K, Res, F>(key: F) -> LastGood<F, Res>
where
    F: Fn(&Req) -> K,
    K: Hash,
{
    LastGood { key, size: |_| size_of::<Res>(), store: Arc::new(Store::new()) }
}

impl<F, Res> LastGood<F, Res> {
    /// Sets the function that tells the size of an answer in bytes. Default: the size of its type, which leaves out what it
    /// points to. Over HTTP the size of head and body is known, and this is not used.
    #[must_use]
    pub fn size(mut self, size: fn(&Res) -> usize) -> Self {
        self.size = size;
        self
    }
}

impl<Req, K, Res, F> Substitute<Req, Res> for LastGood<F, Res>
where
    F: Fn(&Req) -> K,
    K: Hash,
    Res: Clone,
{
    /// `None` if the key panicked.
    type Held = Option<Fingerprint>;
    type Future = Ready<Result<Res, BoxError>>;

    const KIND: FallbackKind = FallbackKind::LastGood;

    fn hold(&self, request: &Req) -> Option<Fingerprint> {
        catch(|| self.store.fingerprint(&(self.key)(request))).ok()
    }

    fn good(&self, policy: &Arc<Policy>, key: Option<Fingerprint>, response: &Res) {
        let copied = key.and_then(|key| {
            catch(|| (response.clone(), (self.size)(response))).ok().map(|(copy, size)| (key, copy, size))
        });
        match copied {
            Some((key, copy, size)) => self.store.put(policy, key, copy, size),
            None => policy.counters.not_kept(NotKept::Panic),
        }
    }

    fn answer(&self, policy: &Arc<Policy>, key: Option<Fingerprint>) -> Option<Self::Future> {
        let (answer, _) = self.store.get(policy, key?)?;
        Some(ready(Ok(Res::clone(&answer))))
    }
}

impl<F: Clone, Res> Clone for LastGood<F, Res> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), size: self.size, store: Arc::clone(&self.store) }
    }
}

impl<F, Res> fmt::Debug for LastGood<F, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastGood").finish_non_exhaustive()
    }
}

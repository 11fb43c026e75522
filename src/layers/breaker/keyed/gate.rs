//! Admission by the key of a request. The key is known only in `call`, so `call` decides.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::Service;

use super::circuits::Circuits;
use super::handle::KeyedBreaker;
use super::key::Key;
use crate::base::error::Rejected;
use crate::layers::breaker::permit::Permit;
use crate::signal::Place;

/// A service instance behind the circuits.
pub(super) struct Gate<S, K, F> {
    inner: S,
    circuits: Arc<Circuits<K>>,
    key_of: F,
}

impl<S, K, F> Gate<S, K, F> {
    pub(super) fn new(inner: S, breaker: KeyedBreaker<K, F>) -> Self {
        Self { inner, circuits: breaker.circuits, key_of: breaker.key_of }
    }

    /// Counts a call whose response is a `Res`, if that has a status that the default classifier does not read.
    #[inline(always)]
    pub(super) fn see<Res>(&self) {
        self.circuits.group.see::<Res>(Place::Layer);
    }

    #[inline]
    pub(super) fn poll_ready<Req>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<Req>,
    {
        self.inner.poll_ready(cx)
    }

    /// Returns the inner call's future with its permit, or the refusal.
    #[inline(always)]
    pub(super) fn call<Req>(&mut self, request: Req) -> Result<(S::Future, Permit), Box<Rejected>>
    where
        S: Service<Req> + Clone,
        K: Key,
        F: Fn(&Req) -> K,
    {
        let circuit = self.circuits.circuit((self.key_of)(&request));
        let permit = Permit::begin(circuit).inspect_err(|_| self.replace_inner())?;
        let future = self.inner.call(request);
        Ok((future, permit))
    }

    /// Replaces the inner service, which may have reserved capacity for a call that does not come. Only its drop releases
    /// that.
    #[cold]
    fn replace_inner(&mut self)
    where
        S: Clone,
    {
        self.inner = self.inner.clone();
    }
}

impl<S: Clone, K, F: Clone> Clone for Gate<S, K, F> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), circuits: Arc::clone(&self.circuits), key_of: self.key_of.clone() }
    }
}

impl<S: fmt::Debug, K, F> fmt::Debug for Gate<S, K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("inner", &self.inner).field("circuits", &self.circuits).finish()
    }
}

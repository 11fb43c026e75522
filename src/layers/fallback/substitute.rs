//! What a layer answers with when a call failed: a value, or another service. The last good answer is in `last_good.rs`.

use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower::{BoxError, Service};

use super::kinds::FallbackKind;
use super::policy::Policy;

/// What a [`FallbackLayer`](super::FallbackLayer) answers with: [`value`], [`service`] or
/// [`last_good`](super::last_good).
#[diagnostic::on_unimplemented(
    message = "a fallback of type `{Self}` cannot answer a request `{Req}` with a response `{Res}`",
    note = "`value` needs the service's type of response, which is `Clone`",
    note = "`service` needs a service of the same requests and responses that is `Clone`, and requests that are `Clone`",
    note = "`last_good` needs a key that is `Hash` of the same type of request, and responses that are `Clone`"
)]
pub trait Substitute<Req, Res> {
    /// What is held of a request while the first try runs.
    #[doc(hidden)]
    type Held;
    /// The answer.
    #[doc(hidden)]
    type Future: Future<Output = Result<Res, BoxError>>;

    #[doc(hidden)]
    const KIND: FallbackKind;

    #[doc(hidden)]
    fn hold(&self, request: &Req) -> Self::Held;

    /// The first try was no failure.
    #[doc(hidden)]
    fn good(&self, policy: &std::sync::Arc<Policy>, held: Self::Held, response: &Res);

    /// The answer, if there is one.
    #[doc(hidden)]
    fn answer(&self, policy: &std::sync::Arc<Policy>, held: Self::Held) -> Option<Self::Future>;
}

// ===== impl Value =====

/// A fixed answer: see [`value`].
#[derive(Clone)]
pub struct Value<V>(pub(super) V);

/// Answers with a clone of `value`. Over HTTP it is a `http::Response<Bytes>`.
pub fn value<V>(value: V) -> Value<V> {
    Value(value)
}

impl<Req, Res: Clone> Substitute<Req, Res> for Value<Res> {
    type Held = ();
    type Future = Ready<Result<Res, BoxError>>;

    const KIND: FallbackKind = FallbackKind::Value;

    #[inline]
    fn hold(&self, _: &Req) {}

    #[inline]
    fn good(&self, _: &std::sync::Arc<Policy>, (): (), _: &Res) {}

    fn answer(&self, _: &std::sync::Arc<Policy>, (): ()) -> Option<Self::Future> {
        Some(ready(Ok(self.0.clone())))
    }
}

impl<V> fmt::Debug for Value<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").finish_non_exhaustive()
    }
}

// ===== impl Other =====

/// Another service: see [`service`].
#[derive(Clone)]
pub struct Other<S>(pub(super) S);

/// Sends the request to another service of the same requests and responses.
///
/// Each request is cloned, because the first try takes it. The service is cloned for each call that failed; for futures that are
/// `Send`, it has to be `Sync`, which clients and routers are.
pub fn service<S>(service: S) -> Other<S> {
    Other(service)
}

impl<Req, Res, S> Substitute<Req, Res> for Other<S>
where
    Req: Clone,
    S: Service<Req, Response = Res> + Clone,
    S::Error: Into<BoxError>,
{
    type Held = Req;
    type Future = OtherCall<S, Req>;

    const KIND: FallbackKind = FallbackKind::Service;

    #[inline]
    fn hold(&self, request: &Req) -> Req {
        request.clone()
    }

    #[inline]
    fn good(&self, _: &std::sync::Arc<Policy>, _: Req, _: &Res) {}

    fn answer(&self, _: &std::sync::Arc<Policy>, request: Req) -> Option<Self::Future> {
        Some(OtherCall::new(self.0.clone(), request))
    }
}

impl<S> fmt::Debug for Other<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Other").finish_non_exhaustive()
    }
}

pin_project! {
    /// A call of the other service, once it is ready.
    pub struct OtherCall<S, Req>
    where
        S: Service<Req>,
    {
        service: S,
        request: Option<Req>,
        #[pin]
        future: Option<S::Future>,
    }
}

impl<S: Service<Req>, Req> OtherCall<S, Req> {
    pub(super) fn new(service: S, request: Req) -> Self {
        Self { service, request: Some(request), future: None }
    }
}

impl<S, Req> Future for OtherCall<S, Req>
where
    S: Service<Req>,
    S::Error: Into<BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.request.is_some() {
            ready!(this.service.poll_ready(cx)).map_err(Into::into)?;
        }
        if let Some(request) = this.request.take() {
            this.future.set(Some(this.service.call(request)));
        }
        match this.future.as_mut().as_pin_mut() {
            Some(future) => future.poll(cx).map_err(Into::into),
            None => Poll::Pending,
        }
    }
}

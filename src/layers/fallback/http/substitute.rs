//! What the layers for HTTP and gRPC answer with.

use std::future::{Future, Ready, ready};
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::{BoxError, Service};

use super::super::kinds::{FallbackKind, NotKept};
use super::super::last_good::LastGood;
use super::super::policy::Policy;
use super::super::store::Fingerprint;
use super::super::substitute::{Other, OtherCall, Value};
use super::body::{FallbackBody, Recorder};
use super::cacheable;
use super::stale::StoredResponse;
use crate::base::panics::catch;

/// What a [`HttpFallbackLayer`](super::HttpFallbackLayer) answers with: [`value`](super::super::value),
/// [`service`](super::super::service) or [`last_good`](super::super::last_good).
#[diagnostic::on_unimplemented(
    message = "a fallback of type `{Self}` cannot answer a `http::Request<{ReqBody}>`",
    note = "`value` needs a `http::Response<bytes::Bytes>`",
    note = "`service` needs a service of the same requests and responses that is `Clone`, and request bodies that are `Clone`",
    note = "`last_good` needs a key that is `Hash` of the same type of request"
)]
pub trait HttpSubstitute<ReqBody, ResBody> {
    /// What is held of a request while the first try runs.
    #[doc(hidden)]
    type Held;
    /// The answer.
    #[doc(hidden)]
    type Future: Future<Output = Result<Response<FallbackBody<ResBody>>, BoxError>>;

    #[doc(hidden)]
    const KIND: FallbackKind;

    #[doc(hidden)]
    fn hold(&self, policy: &Policy, request: &Request<ReqBody>) -> Self::Held;

    /// The first try was no failure.
    #[doc(hidden)]
    fn good(
        &self,
        policy: &Arc<Policy>,
        held: Self::Held,
        head: Parts,
        body: ResBody,
    ) -> Response<FallbackBody<ResBody>>;

    /// The answer, if there is one.
    #[doc(hidden)]
    fn answer(&self, policy: &Arc<Policy>, held: Self::Held) -> Option<Self::Future>;
}

fn passed<B>(head: Parts, body: B) -> Response<FallbackBody<B>> {
    Response::from_parts(head, FallbackBody::passed(body))
}

fn marked<B>(mut response: Response<B>, kind: FallbackKind) -> Response<B> {
    response.extensions_mut().insert(kind);
    response
}

// ===== impl Value =====

impl<ReqBody, ResBody> HttpSubstitute<ReqBody, ResBody> for Value<Response<Bytes>> {
    type Held = ();
    type Future = Ready<Result<Response<FallbackBody<ResBody>>, BoxError>>;

    const KIND: FallbackKind = FallbackKind::Value;

    #[inline]
    fn hold(&self, _: &Policy, _: &Request<ReqBody>) {}

    #[inline]
    fn good(&self, _: &Arc<Policy>, (): (), head: Parts, body: ResBody) -> Response<FallbackBody<ResBody>> {
        passed(head, body)
    }

    fn answer(&self, _: &Arc<Policy>, (): ()) -> Option<Self::Future> {
        let response = self.0.clone().map(FallbackBody::stored);
        Some(ready(Ok(marked(response, FallbackKind::Value))))
    }
}

// ===== impl Other =====

impl<ReqBody, ResBody, S> HttpSubstitute<ReqBody, ResBody> for Other<S>
where
    ReqBody: Clone,
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    S::Error: Into<BoxError>,
{
    type Held = Request<ReqBody>;
    type Future = OtherResponse<S, Request<ReqBody>>;

    const KIND: FallbackKind = FallbackKind::Service;

    #[inline]
    fn hold(&self, _: &Policy, request: &Request<ReqBody>) -> Request<ReqBody> {
        request.clone()
    }

    #[inline]
    fn good(
        &self,
        _: &Arc<Policy>,
        _: Request<ReqBody>,
        head: Parts,
        body: ResBody,
    ) -> Response<FallbackBody<ResBody>> {
        passed(head, body)
    }

    fn answer(&self, _: &Arc<Policy>, request: Request<ReqBody>) -> Option<Self::Future> {
        Some(OtherResponse { call: OtherCall::new(self.0.clone(), request) })
    }
}

pin_project! {
    /// The response of the other service. One that [`ByHttpStatus`](crate::outcome::ByHttpStatus) calls a failure is passed on: it
    /// is the answer of the fallback.
    pub struct OtherResponse<S, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        call: OtherCall<S, Req>,
    }
}

impl<S, Req, B> Future for OtherResponse<S, Req>
where
    S: Service<Req, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<FallbackBody<B>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().call.poll(cx))?;
        Poll::Ready(Ok(marked(response.map(FallbackBody::passed), FallbackKind::Service)))
    }
}

// ===== impl LastGood =====

/// What is held of a request whose response may be kept.
#[derive(Debug)]
pub struct Question {
    key: Fingerprint,
    /// For `Vary`.
    headers: HeaderMap,
    to_head: bool,
}

impl<ReqBody, ResBody, K, F> HttpSubstitute<ReqBody, ResBody> for LastGood<F, StoredResponse>
where
    ResBody: Body<Data = Bytes>,
    F: Fn(&Request<ReqBody>) -> K,
    K: Hash,
{
    /// `None` if no response to this request is kept.
    type Held = Result<Question, NotKept>;
    type Future = Ready<Result<Response<FallbackBody<ResBody>>, BoxError>>;

    const KIND: FallbackKind = FallbackKind::LastGood;

    fn hold(&self, policy: &Policy, request: &Request<ReqBody>) -> Self::Held {
        cacheable::request(&policy.settings, request.method(), request.headers())?;
        let key = catch(|| self.store.fingerprint(&(request.method(), (self.key)(request))));
        let key = key.map_err(|_| NotKept::Panic)?;
        let to_head = request.method() == Method::HEAD;
        Ok(Question { key, headers: request.headers().clone(), to_head })
    }

    fn good(
        &self,
        policy: &Arc<Policy>,
        held: Self::Held,
        head: Parts,
        body: ResBody,
    ) -> Response<FallbackBody<ResBody>> {
        let kept = held.and_then(|question| {
            let vary = cacheable::response(&policy.settings, &head, body.size_hint().lower())?;
            let stored = StoredResponse::new(&head, vary, &question.headers);
            let ended = question.to_head || body.is_end_stream();
            let policy = Arc::clone(policy);
            Ok((Recorder::new(policy, Arc::clone(&self.store), question.key, stored), ended))
        });
        let body = match kept {
            Ok((recorder, true)) => {
                recorder.end();
                FallbackBody::passed(body)
            }
            Ok((recorder, false)) => FallbackBody::recorded(body, recorder),
            Err(why) => {
                policy.counters.not_kept(why);
                FallbackBody::passed(body)
            }
        };
        Response::from_parts(head, body)
    }

    fn answer(&self, policy: &Arc<Policy>, held: Self::Held) -> Option<Self::Future> {
        let Question { key, headers, .. } = held.ok()?;
        let (stored, age) = self.store.get(policy, key)?;
        let response = stored.answer(&headers, age)?.map(FallbackBody::stored);
        Some(ready(Ok(marked(response, FallbackKind::LastGood))))
    }
}

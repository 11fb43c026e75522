//! HTTP requests on their way back.

use std::convert::Infallible;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::pin;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Response, Uri, Version};
use http_body::Body;
use tower::{BoxError, Service};

use super::request::{Meaning, Redrivable, Redriven, Verdict, described, of_error};
use super::{AutoRedrive, AutoRedriveHandle, Judge, Redrive, RedriveReport};
use crate::base::error::{Cause, Rejected};
use crate::base::outcome::{ByHttpStatus, Classify, FailureKind};
#[cfg(feature = "grpc")]
use crate::base::outcome::{Outcome, code_in, grpc_outcome};
use crate::base::redact::MARKER;
use crate::dead_letter::DeadLetterQueue;
use crate::dead_letter::failure::Failure;
use crate::dead_letter::http::{IDEMPOTENCY_KEY, LETTER, of_head};
use crate::dead_letter::letter::{HttpRequest, Letter, Payload, Redaction};
#[cfg(feature = "grpc")]
use crate::layers::attempts::ErrorText;
use crate::layers::replay::ReplayBody;
use crate::store::StoreError;

/// A response is read up to here, so that its connection can be used again and a body that breaks off is seen.
const READ: u64 = 1024 * 1024;

/// How the type of a gRPC response begins. Its status stands at the end, so that is read whatever comes before.
const GRPC: &[u8] = b"application/grpc";

impl DeadLetterQueue {
    /// [`DeadLetterQueue::redrive`] for services that take HTTP requests with any body, such as axum's `Router` or a
    /// stack of layers: for those the compiler has to be told which.
    ///
    /// # Errors
    /// As [`DeadLetterQueue::redrive`].
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub async fn redrive_http<S, B, K>(
        &self,
        service: S,
        redrive: Redrive,
    ) -> Result<RedriveReport, StoreError>
    where
        S: Service<Request<ReplayBody>, Response = Response<B>>,
        S::Error: Cause<K>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        self.redrive::<S, Request<ReplayBody>, HttpRedrive<K>>(service, redrive).await
    }

    /// [`DeadLetterQueue::redrive_automatically`] for services that take HTTP requests with any body.
    ///
    /// # Errors
    /// As [`DeadLetterQueue::redrive_automatically`].
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn redrive_automatically_http<S, B, K>(
        &self,
        service: S,
        settings: AutoRedrive,
    ) -> Result<AutoRedriveHandle, StoreError>
    where
        S: Service<Request<ReplayBody>, Response = Response<B>, Future: Send> + Send + 'static,
        S::Error: Cause<K>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        self.redrive_automatically::<S, Request<ReplayBody>, HttpRedrive<K>>(service, settings)
    }
}

/// The way of an HTTP request.
#[doc(hidden)]
#[derive(Debug)]
pub struct HttpRedrive<K>(Infallible, PhantomData<fn() -> K>);

impl<B: From<Bytes>, K> Redrivable<HttpRedrive<K>> for Request<B> {
    fn from_letter(letter: &Letter, mark: Redriven) -> Result<Self, String> {
        let Payload::Http(kept) = &letter.payload else {
            return Err("it holds a plain request".to_owned());
        };
        let mut request = Request::new(B::from(Bytes::from(kept.body.clone())));
        *request.method_mut() =
            Method::from_bytes(kept.method.as_bytes()).map_err(|error| error.to_string())?;
        *request.uri_mut() = uri(&kept.uri)?;
        *request.version_mut() = version(&kept.version)?;
        headers(letter, kept, &mut request)?;
        let id = HeaderValue::try_from(letter.id.to_string()).map_err(|error| error.to_string())?;
        if !request.headers().contains_key(IDEMPOTENCY_KEY) {
            request.headers_mut().insert(IDEMPOTENCY_KEY, id.clone());
        }
        request.headers_mut().insert(LETTER, id);
        request.extensions_mut().insert(mark);
        Ok(request)
    }
}

/// The address of a kept request, without the user's part if that was redacted: no client sends it, and with an IPv6 host
/// behind it the whole would be no address.
fn uri(kept: &str) -> Result<Uri, String> {
    let bare = kept.split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?']));
    let bare = bare.and_then(|(scheme, rest)| {
        Some(format!("{scheme}://{}", rest.strip_prefix(MARKER)?.strip_prefix('@')?))
    });
    bare.as_deref().unwrap_or(kept).parse::<Uri>().map_err(|error| error.to_string())
}

fn version(text: &str) -> Result<Version, String> {
    [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3]
        .into_iter()
        .find(|version| format!("{version:?}") == text)
        .ok_or_else(|| format!("its HTTP version is `{text}`"))
}

fn headers<B>(letter: &Letter, kept: &HttpRequest, request: &mut Request<B>) -> Result<(), String> {
    for (name, value) in &kept.headers {
        let redacted =
            letter.redacted.iter().any(|gone| matches!(gone, Redaction::Header(header) if header == name));
        // The body is whole now, whatever way it came.
        if redacted || name == TRANSFER_ENCODING.as_str() {
            continue;
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|error| error.to_string())?;
        request.headers_mut().append(name, value);
    }
    if request.headers().contains_key(CONTENT_LENGTH) {
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(kept.body.len()));
    }
    Ok(())
}

impl<B, E, K> Judge<Response<B>, E> for HttpRedrive<K>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    E: Cause<K>,
{
    fn judge(result: Result<Response<B>, E>) -> Verdict {
        match result {
            Ok(response) => Verdict::Later(Box::pin(of_response(response))),
            Err(error) => Verdict::Now(error.ask(of_error)),
        }
    }

    fn describe(error: E) -> String {
        error.ask(described)
    }
}

async fn of_response<B>(response: Response<B>) -> Meaning
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let (head, body) = response.into_parts();
    let outcome = Classify::<_>::classify(&ByHttpStatus, Ok(&head));
    let refused = head.extensions.get::<Rejected>().map(Rejected::retry_after);
    let is_grpc = head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(GRPC));
    let read = read(body, if is_grpc { u64::MAX } else { READ }).await;
    if let Some(retry_after) = refused {
        return Meaning::Refused(retry_after);
    }
    #[cfg(feature = "grpc")]
    if is_grpc && let Ok(trailers) = &read {
        return of_grpc(&head, trailers.as_ref());
    }
    match (outcome.failure(), read) {
        (Some(kind), _) => Meaning::Failed(of_head(kind, &head)),
        (None, _) if head.status.as_u16() >= 400 => Meaning::Failed(of_head(FailureKind::Error, &head)),
        (None, Err(error)) => Meaning::Failed(Failure::of_body(error.as_ref())),
        (None, Ok(_)) => Meaning::Success,
    }
}

/// What the status of a gRPC call means: only `OK` says that it did what it was meant to do.
#[cfg(feature = "grpc")]
fn of_grpc(head: &http::response::Parts, trailers: Option<&http::HeaderMap>) -> Meaning {
    let headers = trailers.filter(|trailers| code_in(trailers).is_some()).unwrap_or(&head.headers);
    let said = match (code_in(headers), ErrorText::of_grpc(headers)) {
        (Some(0), _) => return Meaning::Success,
        (Some(_), Some(said)) => said,
        _ => ErrorText::new("UNKNOWN", "the response ended without a status"),
    };
    let outcome = code_in(headers).map(grpc_outcome);
    let kind = outcome.and_then(Outcome::failure).unwrap_or(FailureKind::Error);
    Meaning::Failed(Failure::said(kind, said))
}

/// Reads up to `limit` bytes; gives the trailers, if it came to them.
async fn read<B>(body: B, limit: u64) -> Result<Option<http::HeaderMap>, BoxError>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let mut body = pin!(body);
    let mut read = 0;
    while read < limit
        && let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await
    {
        let frame = frame.map_err(Into::into)?;
        read += frame.data_ref().map_or(0, |data| bytes::Buf::remaining(data) as u64);
        if let Ok(trailers) = frame.into_trailers() {
            return Ok(Some(trailers));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_the_request_also_without_its_secrets() {
        for (kept, sent) in [
            ("http://[redacted]@[::1]:80/a/?token=[redacted]", "http://[::1]:80/a/?token=[redacted]"),
            ("http://[redacted]@host?token=[redacted]", "http://host/?token=[redacted]"),
            ("http://[::1]/a", "http://[::1]/a"),
            ("http://host/a?next=http://[redacted]@b", "http://host/a?next=http://[redacted]@b"),
            ("/a?b", "/a?b"),
            ("*", "*"),
        ] {
            assert_eq!(uri(kept).unwrap().to_string(), sent);
        }
        uri("http://a b/").unwrap_err();
    }
}

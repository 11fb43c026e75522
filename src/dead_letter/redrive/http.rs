//! HTTP letters: their requests, and what a response means.

use std::convert::Infallible;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::pin;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request, Response, Uri, Version};
use http_body::Body;
use tower::BoxError;

use super::automatic::RedriveHandle;
use super::request::{Judged, Redrivable, Verdict, describe, judge_error};
use super::settings::Redrive;
use crate::base::bounds::{HttpService, ResponseBody};
use crate::base::error::{Cause, Rejected};
use crate::base::outcome::{ByHttpStatus, Classify, FailureKind};
#[cfg(feature = "grpc")]
use crate::base::outcome::{Outcome, code_in, grpc_outcome};
use crate::base::redact::MARKER;
use crate::dead_letter::failure::Failure;
use crate::dead_letter::http::{IDEMPOTENCY_KEY, LETTER, failure_of_head};
use crate::dead_letter::letter::{HttpRequest, Letter, Payload, Redaction};
use crate::dead_letter::queue::DeadLetterQueue;
use crate::dead_letter::running::RedriveReport;
use crate::dead_letter::sending::Redriven;
#[cfg(feature = "grpc")]
use crate::layers::attempts::ErrorText;
use crate::layers::replay::ReplayBody;
use crate::store::StoreError;

/// The maximum number of bytes of a response body that are read, so that the connection can be used again and a body
/// that fails is noticed.
const MAX_READ: u64 = 1024 * 1024;

/// The prefix of the content type of gRPC responses. Their bodies are read to the end, because the status is there.
const GRPC_TYPE: &[u8] = b"application/grpc";

impl DeadLetterQueue {
    /// [`DeadLetterQueue::redrive`] for a service that takes HTTP requests with any body, such as axum's `Router` or a
    /// stack of layers. For such a service the compiler cannot infer the body.
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
        S: HttpService<ReplayBody, ResBody = B>,
        S::Err: Cause<K>,
        B: ResponseBody<Data: Send> + Send + 'static,
    {
        self.redrive::<S, Request<ReplayBody>, ViaHttp<K>>(service, redrive).await
    }

    /// [`DeadLetterQueue::redrive_automatically`] for a service that takes HTTP requests with any body.
    ///
    /// # Errors
    /// As [`DeadLetterQueue::redrive_automatically`].
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    pub fn redrive_automatically_http<S, B, K>(
        &self,
        service: S,
        redrive: Redrive,
    ) -> Result<RedriveHandle, StoreError>
    where
        S: HttpService<ReplayBody, ResBody = B, Future: Send> + Send + 'static,
        S::Err: Cause<K>,
        B: ResponseBody<Data: Send> + Send + 'static,
    {
        self.redrive_automatically::<S, Request<ReplayBody>, ViaHttp<K>>(service, redrive)
    }
}

/// Marks the implementation for HTTP requests. `K` marks the kind of error.
#[derive(Debug)]
pub struct ViaHttp<K>(Infallible, PhantomData<fn() -> K>);

#[diagnostic::do_not_recommend]
impl<B, ResB, E, K> Redrivable<ViaHttp<K>, Response<ResB>, E> for Request<B>
where
    B: From<Bytes>,
    ResB: Body + Send + 'static,
    ResB::Data: Send,
    ResB::Error: Into<BoxError>,
    E: Cause<K>,
{
    fn from_letter(letter: &Letter, mark: Redriven, _: bool) -> Result<Self, Option<String>> {
        restore(letter, mark).map_err(Some)
    }

    fn judge(result: Result<Response<ResB>, E>) -> Judged {
        match result {
            Ok(response) => Judged::Later(Box::pin(judge_response(response))),
            Err(error) => Judged::Now(error.ask(judge_error)),
        }
    }

    fn describe(error: E) -> String {
        error.ask(describe)
    }
}

/// The request that `letter` holds.
fn restore<B: From<Bytes>>(letter: &Letter, mark: Redriven) -> Result<Request<B>, String> {
    let Payload::Http(stored) = &letter.payload else {
        return Err("it holds a request that is not HTTP".to_owned());
    };
    let mut request = Request::new(B::from(Bytes::from(stored.body.clone())));
    *request.method_mut() =
        Method::from_bytes(stored.method.as_bytes()).map_err(|error| error.to_string())?;
    *request.uri_mut() = uri(&stored.uri)?;
    *request.version_mut() = version(&stored.version)?;
    headers(letter, stored, &mut request)?;
    let id = HeaderValue::try_from(letter.id.to_string()).map_err(|error| error.to_string())?;
    if !request.headers().contains_key(IDEMPOTENCY_KEY) {
        request.headers_mut().insert(IDEMPOTENCY_KEY, id.clone());
    }
    request.headers_mut().insert(LETTER, id);
    request.extensions_mut().insert(mark);
    Ok(request)
}

/// The URI of a stored request, without the user if that was redacted: clients do not send the user, and a redacted user
/// before an IPv6 host is not a valid URI.
fn uri(stored: &str) -> Result<Uri, String> {
    let bare = stored.split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?']));
    let bare = bare.and_then(|(scheme, rest)| {
        Some(format!("{scheme}://{}", rest.strip_prefix(MARKER)?.strip_prefix('@')?))
    });
    bare.as_deref().unwrap_or(stored).parse::<Uri>().map_err(|error| error.to_string())
}

fn version(text: &str) -> Result<Version, String> {
    [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3]
        .into_iter()
        .find(|version| format!("{version:?}") == text)
        .ok_or_else(|| "its HTTP version is unknown".to_owned())
}

fn headers<B>(letter: &Letter, stored: &HttpRequest, request: &mut Request<B>) -> Result<(), String> {
    for (name, value) in &stored.headers {
        let redacted = letter
            .redacted
            .iter()
            .any(|redaction| matches!(redaction, Redaction::Header(header) if header == name));
        // The body is sent as a whole, even if it came in chunks.
        if redacted || name == TRANSFER_ENCODING.as_str() {
            continue;
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|error| error.to_string())?;
        request.headers_mut().append(name, value);
    }
    if request.headers().contains_key(CONTENT_LENGTH) {
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(stored.body.len()));
    }
    Ok(())
}

async fn judge_response<B>(response: Response<B>) -> Verdict
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let (head, body) = response.into_parts();
    let outcome = Classify::<_>::classify(&ByHttpStatus, Ok(&head));
    let rejected = head.extensions.get::<Rejected>().map(Rejected::retry_after);
    let is_grpc = head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(GRPC_TYPE));
    let read = read(body, if is_grpc { u64::MAX } else { MAX_READ }).await;
    if let Some(retry_after) = rejected {
        return Verdict::Rejected(retry_after);
    }
    #[cfg(feature = "grpc")]
    if is_grpc && let Ok(trailers) = &read {
        return judge_grpc(&head, trailers.as_ref());
    }
    match (outcome.failure(), read) {
        (Some(kind), _) => Verdict::Failed(failure_of_head(kind, &head)),
        (None, _) if head.status.as_u16() >= 400 => {
            Verdict::Failed(failure_of_head(FailureKind::Error, &head))
        }
        (None, Err(error)) => Verdict::Failed(Failure::of_body(error.as_ref())),
        (None, Ok(_)) => Verdict::Delivered,
    }
}

/// What the status of a gRPC call means. Only `OK` is a success.
#[cfg(feature = "grpc")]
fn judge_grpc(head: &http::response::Parts, trailers: Option<&http::HeaderMap>) -> Verdict {
    let headers = trailers.filter(|trailers| code_in(trailers).is_some()).unwrap_or(&head.headers);
    let said = match (code_in(headers), ErrorText::of_grpc(headers)) {
        (Some(0), _) => return Verdict::Delivered,
        (Some(_), Some(said)) => said,
        _ => ErrorText::new("UNKNOWN", "the response ended without a status"),
    };
    let outcome = code_in(headers).map(grpc_outcome);
    let kind = outcome.and_then(Outcome::failure).unwrap_or(FailureKind::Error);
    Verdict::Failed(Failure::said(kind, said))
}

/// Reads up to `limit` bytes. Returns the trailers, if it reached them.
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
    fn a_uri_is_valid_without_its_redacted_user() {
        for (stored, sent) in [
            ("http://[redacted]@[::1]:80/a/?token=[redacted]", "http://[::1]:80/a/?token=[redacted]"),
            ("http://[redacted]@host?token=[redacted]", "http://host/?token=[redacted]"),
            ("http://[::1]/a", "http://[::1]/a"),
            ("http://host/a?next=http://[redacted]@b", "http://host/a?next=http://[redacted]@b"),
            ("/a?b", "/a?b"),
            ("*", "*"),
        ] {
            assert_eq!(uri(stored).unwrap().to_string(), sent);
        }
        uri("http://a b/").unwrap_err();
    }
}

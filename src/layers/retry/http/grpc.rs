//! The layer for gRPC: the status code decides, and the server may push back (gRFC A6).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use tower::Layer;

use super::repeat::{Protocol, Reading, retry_after};
use super::service::HttpRetrying;
use crate::base::error::{ByError, TimedOut};
use crate::base::outcome::{ByCause, ByGrpcStatus, FailureKind, Outcome, code_in};
use crate::layers::retry::Retry;
use crate::layers::retry::call_state::{Asked, Attempt, Rules};

const DEADLINE_EXCEEDED: HeaderValue = HeaderValue::from_static("4");

impl Retry {
    /// A layer for gRPC services over HTTP, such as tonic's, on clients and on servers.
    ///
    /// Like [`http_layer`](Retry::http_layer), except:
    /// - **What failed** is decided by [`ByGrpcStatus`], and by the head of the response alone: a stream that
    ///   has begun is never retried.
    /// - **What is sent again**: calls that end with one of [`RetrySettings::grpc_codes`], which are
    ///   `RESOURCE_EXHAUSTED` and `UNAVAILABLE` by default, and calls that found no connection. Any other call may
    ///   have been processed in part. It is repeated only if it has an `Idempotency-Key` or with
    ///   [`RetryBuilder::retry_non_idempotent`].
    /// - **When**: a server that answers with `grpc-retry-pushback-ms` gets exactly that time, up to
    ///   [`RetryBuilder::retry_after_cap`], and the backoff starts again after it. A negative or malformed number
    ///   forbids another attempt.
    /// - Each attempt after the first carries `grpc-previous-rpc-attempts`.
    /// - After a time-out without a response, the caller gets `DEADLINE_EXCEEDED`.
    ///
    /// The rules are those of gRFC A6, except for a connection that breaks: in A6 that is `UNAVAILABLE` too.
    ///
    /// [`RetrySettings::grpc_codes`]: crate::layers::retry::RetrySettings::grpc_codes
    /// [`RetryBuilder::retry_non_idempotent`]: crate::layers::retry::RetryBuilder::retry_non_idempotent
    /// [`RetryBuilder::retry_after_cap`]: crate::layers::retry::RetryBuilder::retry_after_cap
    ///
    /// # Example
    /// ```
    /// use campanile::retry::ReplayBody;
    /// use tonic::transport::Channel;
    /// use tonic_health::pb::health_client::HealthClient;
    /// use tower::ServiceBuilder;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower::BoxError> {
    /// let retry = campanile::Retry::builder().max_attempts(3).build()?;
    /// let channel = ServiceBuilder::new()
    ///     .layer(retry.grpc_layer())
    ///     .map_request(|request: http::Request<ReplayBody>| request.map(tonic::body::Body::new))
    ///     .service(Channel::from_static("http://[::1]:50051").connect_lazy());
    /// let client = HealthClient::new(channel);
    /// # let _ = client;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    #[cfg_attr(docsrs, doc(cfg(feature = "grpc")))]
    pub fn grpc_layer<K>(&self) -> GrpcRetryLayer<ByGrpcStatus, K> {
        GrpcRetryLayer { rules: Arc::clone(&self.rules), classifier: ByCause::new(ByGrpcStatus) }
    }
}

/// Retries the calls of a gRPC service: see [`Retry::grpc_layer`].
///
/// `K` is inferred: see [`Cause`](crate::base::error::Cause).
pub struct GrpcRetryLayer<C = ByGrpcStatus, K = ByError> {
    rules: Arc<Rules>,
    classifier: ByCause<C, K>,
}

cloned! { GrpcRetryLayer<C; K> { rules, classifier } }

impl<C, K> GrpcRetryLayer<C, K> {
    /// Replaces [`ByGrpcStatus`], which decides what failed, by `classifier`: a closure, or any
    /// [`Classify`](crate::Classify)`<http::response::Parts>`.
    ///
    /// A call with one of these codes is retried, whatever the classifier says:
    /// [`RetrySettings::grpc_codes`](crate::layers::retry::RetrySettings::grpc_codes).
    pub fn classify<D>(self, classifier: D) -> GrpcRetryLayer<D, K> {
        GrpcRetryLayer { rules: self.rules, classifier: self.classifier.with(classifier) }
    }
}

impl<S: Clone, C: Clone, K> Layer<S> for GrpcRetryLayer<C, K> {
    type Service = HttpRetrying<S, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        let protocol = Protocol::Grpc(Codes::new(&self.rules.settings.grpc_codes));
        HttpRetrying::new(inner, Arc::clone(&self.rules), self.classifier.clone(), protocol)
    }
}

impl<C, K> fmt::Debug for GrpcRetryLayer<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcRetryLayer").field("retry", &self.rules.name).finish_non_exhaustive()
    }
}

// ===== impl Codes =====

/// A set of codes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codes(u32);

impl Codes {
    fn new(codes: &[i32]) -> Self {
        Self(codes.iter().fold(0, |all, code| all | Self::bit(*code)))
    }

    fn contains(self, code: i32) -> bool {
        self.0 & Self::bit(code) != 0
    }

    fn bit(code: i32) -> u32 {
        u32::try_from(code).ok().and_then(|code| 1_u32.checked_shl(code)).unwrap_or(0)
    }
}

/// Reads a head that was classified as `outcome`.
pub(super) fn read(codes: Codes, head: &Parts, outcome: Outcome) -> Reading {
    let not_done = code_of(head).is_some_and(|code| codes.contains(code));
    let outcome = match outcome {
        Outcome::Failure(_) => outcome,
        other if not_done => Outcome::Failure(other.failure().unwrap_or(FailureKind::Error)),
        other => other,
    };
    let (mut forbidden, mut asked) = (false, None);
    if outcome.failure().is_some() {
        match pushback(&head.headers) {
            Some(Ok(wait)) => asked = Some(Asked::Exactly(wait)),
            Some(Err(Forbidden)) => forbidden = true,
            None => asked = retry_after(head.status, &head.headers).map(Asked::AtLeast),
        }
    }
    Reading { outcome, not_done, forbidden, asked }
}

/// The code in a response head; `None` at the start of a stream. A response that is not gRPC, such as that of a proxy,
/// gets the code that the protocol maps to its HTTP status.
fn code_of(head: &Parts) -> Option<i32> {
    match (code_in(&head.headers), head.status) {
        (Some(code), _) => Some(code),
        (None, StatusCode::OK) => None,
        (None, StatusCode::BAD_REQUEST) => Some(13),
        (None, StatusCode::UNAUTHORIZED) => Some(16),
        (None, StatusCode::FORBIDDEN) => Some(7),
        (None, StatusCode::NOT_FOUND) => Some(12),
        (
            None,
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT,
        ) => Some(14),
        (None, _) => Some(2),
    }
}

struct Forbidden;

/// The server's pushback, if there is one.
fn pushback(headers: &HeaderMap) -> Option<Result<Duration, Forbidden>> {
    let value = headers.get("grpc-retry-pushback-ms")?;
    let millis = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    Some(millis.map(Duration::from_millis).ok_or(Forbidden))
}

/// Adds the number of earlier attempts to the request.
pub(super) fn mark(headers: &mut HeaderMap, attempt: Attempt) {
    headers.insert("grpc-previous-rpc-attempts", HeaderValue::from(attempt.resend_count()));
}

/// The response to a call that ran out of time.
pub(super) fn timed_out(why: &TimedOut) -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", DEADLINE_EXCEEDED);
    // Its only non-ASCII character is the micro sign.
    if let Ok(message) = HeaderValue::try_from(why.to_string().replace('µ', "u")) {
        headers.insert("grpc-message", message);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p10_pushback_is_a_time_or_forbids() {
        let pushback = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            let headers =
                HeaderMap::from_iter([(header::HeaderName::from_static("grpc-retry-pushback-ms"), value)]);
            pushback(&headers).map(|wait| wait.ok())
        };
        assert_eq!(pushback("0"), Some(Some(Duration::ZERO)));
        assert_eq!(pushback("1500"), Some(Some(Duration::from_millis(1_500))));
        assert_eq!(pushback("5000000000"), Some(Some(Duration::from_secs(5_000_000))));
        for forbids in ["-1", "-2147483648", "", "soon", "1.5", " 1", "99999999999999999999"] {
            assert_eq!(pushback(forbids), Some(None), "{forbids:?}");
        }
        assert!(super::pushback(&HeaderMap::new()).is_none());
    }

    #[test]
    fn any_answer_has_a_code_but_a_stream_that_begins() {
        let code = |status, grpc: Option<&str>| {
            let mut response = Response::builder().status(status);
            if let Some(grpc) = grpc {
                response = response.header("grpc-status", grpc);
            }
            code_of(&response.body(()).unwrap().into_parts().0)
        };
        assert_eq!(code(200, None), None);
        assert_eq!(code(200, Some("0")), Some(0));
        assert_eq!(code(503, Some("5")), Some(5));
        let of_proxies =
            [(400, 13), (401, 16), (403, 7), (404, 12), (429, 14), (502, 14), (503, 14), (504, 14), (500, 2)];
        for (status, expected) in of_proxies {
            assert_eq!(code(status, None), Some(expected), "{status}");
        }
    }

    #[test]
    fn a_set_holds_its_codes() {
        let codes = Codes::new(&[1, 16]);
        let held: Vec<_> = (-1..40).filter(|code| codes.contains(*code)).collect();
        assert_eq!(held, [1, 16]);
        assert!(!codes.contains(i32::MAX) && !codes.contains(i32::MIN));
    }

    #[test]
    fn the_message_of_a_timeout_is_a_header() {
        let response = timed_out(&TimedOut::new("call", Duration::from_nanos(1_500)));
        assert_eq!(response.headers()["grpc-message"], "call timed out after 1.5us");
    }
}

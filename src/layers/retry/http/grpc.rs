//! gRPC: the status code decides, and the server may push back (gRFC A6).

use std::time::Duration;

use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::advice::Advice;
use super::retry_after_status::retry_after;
use crate::base::error::TimedOut;
use crate::base::outcome::{FailureKind, Outcome, code_in, grpc_message};
use crate::layers::retry::attempt::Attempt;
use crate::layers::retry::attempt_result::ServerDelay;

const DEADLINE_EXCEEDED: HeaderValue = HeaderValue::from_static("4");

/// A set of status codes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codes(u32);

impl Codes {
    pub(super) fn new(codes: &[i32]) -> Self {
        Self(codes.iter().fold(0, |all, code| all | Self::bit(*code)))
    }

    fn contains(self, code: i32) -> bool {
        self.0 & Self::bit(code) != 0
    }

    fn bit(code: i32) -> u32 {
        u32::try_from(code).ok().and_then(|code| 1_u32.checked_shl(code)).unwrap_or(0)
    }
}

/// Reads the head of a response that was classified as `outcome`.
pub(super) fn read(codes: Codes, head: &Parts, outcome: Outcome) -> Advice {
    let not_processed = code_of(head).is_some_and(|code| codes.contains(code));
    let outcome = match outcome {
        Outcome::Failure(_) => outcome,
        other if not_processed => Outcome::Failure(other.failure().unwrap_or(FailureKind::Error)),
        other => other,
    };
    let (mut forbidden, mut server_delay) = (false, None);
    if outcome.failure().is_some() {
        match pushback(&head.headers) {
            Some(Ok(wait)) => server_delay = Some(ServerDelay::Exactly(wait)),
            Some(Err(Forbidden)) => forbidden = true,
            None => server_delay = retry_after(head.status, &head.headers).map(ServerDelay::AtLeast),
        }
    }
    Advice { outcome, not_processed, forbidden, server_delay }
}

/// The code in the head of a response; `None` for the start of a stream. A response that is not gRPC, such as that of a
/// proxy, has the code that the protocol maps to its HTTP status.
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

/// Adds the number of earlier attempts to the headers of the request.
pub(super) fn mark(headers: &mut HeaderMap, attempt: Attempt) {
    headers.insert("grpc-previous-rpc-attempts", HeaderValue::from(attempt.resend_count()));
}

/// The response to a call that timed out.
pub(super) fn timed_out(why: &TimedOut) -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", DEADLINE_EXCEEDED);
    if let Some(message) = grpc_message(&why.to_string()) {
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
    fn every_head_has_a_code_except_the_start_of_a_stream() {
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
        let why =
            TimedOut::new("the call", "deadline", Duration::from_nanos(1_500)).by_retry(&"zahlung\n".into());
        let expected = "the call of retry `zahlung%0A` timed out after 1.5%C2%B5s (`deadline`)";
        assert_eq!(timed_out(&why).headers()["grpc-message"], expected);
    }
}

//! The statuses of HTTP and the codes of gRPC: the outcomes of both, and the names of the codes.

#[cfg(feature = "http")]
use http::StatusCode;

#[cfg(feature = "http")]
use super::classify::{FailureKind, Outcome};

/// The names of the gRPC status codes, indexed by number.
pub(crate) const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The outcome of a gRPC status code.
///
/// Failures are the codes of server errors: `UNKNOWN`, `DEADLINE_EXCEEDED`, `UNIMPLEMENTED` (permanent), `INTERNAL`,
/// `UNAVAILABLE`, `DATA_LOSS`, and `RESOURCE_EXHAUSTED` as overload. `CANCELLED` is ignored. The other codes are errors of
/// the caller and count as successes. Source: the OpenTelemetry convention for server spans.
#[cfg(feature = "grpc")]
#[must_use]
pub fn grpc_outcome(code: i32) -> Outcome {
    match code {
        1 => Outcome::Ignored,
        2 | 13 | 14 | 15 => Outcome::Failure(FailureKind::Error),
        4 => Outcome::Failure(FailureKind::Timeout),
        8 => Outcome::Failure(FailureKind::Overload),
        12 => Outcome::Permanent(FailureKind::Error),
        0..=16 => Outcome::Success,
        _ => Outcome::Failure(FailureKind::Error),
    }
}

/// The outcome of an HTTP status: see [`ByHttpStatus`](super::ByHttpStatus).
#[cfg(feature = "http")]
pub(super) fn http_outcome(status: StatusCode) -> Outcome {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Outcome::Failure(FailureKind::Overload),
        StatusCode::GATEWAY_TIMEOUT => Outcome::Failure(FailureKind::Timeout),
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => {
            Outcome::Permanent(FailureKind::Error)
        }
        status if status.is_server_error() => Outcome::Failure(FailureKind::Error),
        _ => Outcome::Success,
    }
}

#[cfg(all(test, feature = "http"))]
mod tests {
    use super::*;

    #[test]
    fn statuses_of_the_server_fail_and_those_of_the_client_do_not() {
        let outcome = |code| StatusCode::from_u16(code).map(http_outcome).ok();
        assert_eq!(outcome(200), Some(Outcome::Success));
        assert_eq!(outcome(404), Some(Outcome::Success));
        assert_eq!(outcome(429), Some(Outcome::Failure(FailureKind::Overload)));
        assert_eq!(outcome(500), Some(Outcome::Failure(FailureKind::Error)));
        assert_eq!(outcome(501), Some(Outcome::Permanent(FailureKind::Error)));
        assert_eq!(outcome(503), Some(Outcome::Failure(FailureKind::Error)));
        assert_eq!(outcome(504), Some(Outcome::Failure(FailureKind::Timeout)));
    }
}

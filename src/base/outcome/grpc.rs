//! Outcome by gRPC status.

use std::error::Error;

use http::response::Parts;
use http::{HeaderMap, StatusCode};

use super::{Classify, FailureKind, Outcome, kind_of};

/// The classifier for gRPC: by the `grpc-status` in the trailers, or in the head if there is no body.
///
/// See [`grpc_outcome`] for what each code means. A stream that ends without a status is a failure.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByGrpcStatus;

impl Classify<Parts> for ByGrpcStatus {
    fn classify(&self, result: Result<&Parts, &(dyn Error + 'static)>) -> Outcome {
        match result {
            Ok(head) => match code_in(&head.headers) {
                Some(code) => grpc_outcome(code),
                None if head.status == StatusCode::OK => Outcome::Success,
                // A proxy answered instead of the service.
                None => Outcome::Failure(FailureKind::Error),
            },
            Err(error) => Outcome::Failure(kind_of(error)),
        }
    }

    fn classify_end(&self, trailers: Option<&HeaderMap>) -> Outcome {
        match trailers.and_then(code_in) {
            Some(code) => grpc_outcome(code),
            None => Outcome::Failure(FailureKind::Error),
        }
    }
}

/// The outcome of a gRPC status code.
///
/// Failures are the codes of server errors: `UNKNOWN`, `DEADLINE_EXCEEDED`, `UNIMPLEMENTED` (permanent), `INTERNAL`,
/// `UNAVAILABLE`, `DATA_LOSS`, and `RESOURCE_EXHAUSTED` as overload. `CANCELLED` is ignored. The other codes are errors of
/// the caller and count as successes. Source: the OpenTelemetry convention for server spans.
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

/// The code in a `grpc-status` header. By the protocol, a malformed one is `UNKNOWN`.
pub(crate) fn code_in(headers: &HeaderMap) -> Option<i32> {
    let value = headers.get("grpc-status")?;
    Some(value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(2))
}

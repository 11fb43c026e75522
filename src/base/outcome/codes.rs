//! The status codes of gRPC: their names and outcomes.

#[cfg(feature = "grpc")]
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

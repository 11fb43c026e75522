//! Outcome by gRPC status.

use std::error::Error;

use http::response::Parts;
use http::{HeaderMap, StatusCode};

use super::by_result::kind_of;
use super::classify::{Classify, FailureKind, Outcome};
use super::codes::grpc_outcome;

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
                // The response is not from the service but from a proxy.
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

/// The code in a `grpc-status` header. By the protocol, a malformed one is `UNKNOWN`.
pub(crate) fn code_in(headers: &HeaderMap) -> Option<i32> {
    let value = headers.get("grpc-status")?;
    Some(value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(2))
}

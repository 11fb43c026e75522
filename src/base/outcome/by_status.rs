//! Outcome by HTTP status.

use std::error::Error;

use http::StatusCode;
use http::response::Parts;

use super::by_result::outcome_of_error;
use super::classify::{Classify, FailureKind, Outcome};

/// The classifier for HTTP: 5xx and errors of the connection are failures, 429 is overload, the rest are successes.
///
/// 504 is a timeout. 501 and 505 are permanent: the same request gets the same response. Errors are classified as by
/// [`ByResult`](super::ByResult).
#[derive(Clone, Copy, Debug, Default)]
pub struct ByHttpStatus;

impl Classify<Parts> for ByHttpStatus {
    fn classify(&self, result: Result<&Parts, &(dyn Error + 'static)>) -> Outcome {
        match result {
            Ok(head) => outcome_of(head.status),
            Err(error) => outcome_of_error(error),
        }
    }
}

/// The outcome of a response with this status.
pub(super) fn outcome_of(status: StatusCode) -> Outcome {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_of_the_server_fail_and_those_of_the_client_do_not() {
        let outcome = |code| StatusCode::from_u16(code).map(outcome_of).ok();
        assert_eq!(outcome(200), Some(Outcome::Success));
        assert_eq!(outcome(404), Some(Outcome::Success));
        assert_eq!(outcome(429), Some(Outcome::Failure(FailureKind::Overload)));
        assert_eq!(outcome(500), Some(Outcome::Failure(FailureKind::Error)));
        assert_eq!(outcome(501), Some(Outcome::Permanent(FailureKind::Error)));
        assert_eq!(outcome(503), Some(Outcome::Failure(FailureKind::Error)));
        assert_eq!(outcome(504), Some(Outcome::Failure(FailureKind::Timeout)));
    }
}

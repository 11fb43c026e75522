//! What the errors of reqwest mean.

use std::error::Error;

use http::StatusCode;

use super::classify::{FailureKind, Outcome};
use super::codes::http_outcome;
use crate::base::error::{causes, reqwest_in};

/// The outcome of a call that ended with `error`, if it is an error of reqwest that decides it by itself.
pub(super) fn outcome_of(error: &(dyn Error + 'static)) -> Option<Outcome> {
    causes(error).find_map(reqwest_in).and_then(by_itself)
}

/// The outcome that the error decides by itself. For any other, the causes of the error decide.
pub(super) fn by_itself(error: &reqwest::Error) -> Option<Outcome> {
    if error.is_builder() || error.is_redirect() {
        return Some(Outcome::Permanent(FailureKind::Error));
    }
    // `error_for_status` made it: the caller takes the response for an error.
    error.status().map(|status| match http_outcome(status) {
        Outcome::Success if may_pass(status) => Outcome::Failure(FailureKind::Error),
        Outcome::Success | Outcome::Ignored => Outcome::Permanent(FailureKind::Error),
        outcome => outcome,
    })
}

/// Whether the same request may get another response, although the status is one of the caller's fault.
fn may_pass(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::outcome::{ByResult, Classify};

    /// The outcome of what `error_for_status` makes of a response with this status.
    fn outcome(status: u16) -> Outcome {
        let mut response = http::Response::new("");
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let error = reqwest::Response::from(response).error_for_status().unwrap_err();
        let wrapped = std::io::Error::other(error);
        Classify::<()>::classify(&ByResult, Err(&wrapped as &(dyn Error + 'static)))
    }

    #[test]
    fn an_error_for_a_status_is_classified_by_the_status() {
        for status in [400, 404, 409, 501] {
            assert_eq!(outcome(status), Outcome::Permanent(FailureKind::Error), "{status}");
        }
        for status in [408, 425, 500, 502, 503] {
            assert_eq!(outcome(status), Outcome::Failure(FailureKind::Error), "{status}");
        }
        assert_eq!(outcome(429), Outcome::Failure(FailureKind::Overload));
        assert_eq!(outcome(504), Outcome::Failure(FailureKind::Timeout));
    }
}

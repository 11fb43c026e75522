//! Outcome by HTTP status.

use std::error::Error;

use http::response::Parts;

use super::by_result::outcome_of_error;
use super::classify::{Classify, Outcome};
use super::codes::http_outcome;

/// The classifier for HTTP: 5xx and errors of the connection are failures, 429 is overload, the rest are successes.
///
/// 504 is a timeout. 501 and 505 are permanent: the same request gets the same response. Errors are classified as by
/// [`ByResult`](super::ByResult).
#[derive(Clone, Copy, Debug, Default)]
pub struct ByHttpStatus;

impl Classify<Parts> for ByHttpStatus {
    fn classify(&self, result: Result<&Parts, &(dyn Error + 'static)>) -> Outcome {
        match result {
            Ok(head) => http_outcome(head.status),
            Err(error) => outcome_of_error(error),
        }
    }
}

//! The default classifier of alternatives.

use std::error::Error;
use std::io;

use crate::base::error::find_cause;
use crate::base::outcome::{Classify, FailureKind, Outcome, kind_of};

/// The default classifier of [`Alternatives`](super::Alternatives): timeouts, overload, refusals of a layer, and errors with an
/// [`io::Error`] among their causes are failures of the infrastructure. Every other error is an answer, such as that a row exists
/// already: another alternative would give the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Infrastructure;

impl<Res> Classify<Res> for Infrastructure {
    fn classify(&self, result: Result<&Res, &(dyn Error + 'static)>) -> Outcome {
        let Err(error) = result else { return Outcome::Success };
        match kind_of(error) {
            FailureKind::Error if find_cause::<io::Error>(error).is_none() => Outcome::Success,
            kind => Outcome::Failure(kind),
        }
    }
}

//! What counts for the circuit.

use std::error::Error;

use http::response::Parts;

use crate::base::outcome::{ByHttpStatus, Classify, Outcome};

/// The classifier of the circuit: [`ByHttpStatus`], except that a request which cannot be sent, or which is redirected
/// without an end, does not count. Both say nothing about the service.
#[derive(Clone, Copy, Debug)]
pub struct ForCircuit;

impl Classify<Parts> for ForCircuit {
    fn classify(&self, result: Result<&Parts, &(dyn Error + 'static)>) -> Outcome {
        let outcome = ByHttpStatus.classify(result);
        match outcome {
            Outcome::Permanent(_) if result.is_err() => Outcome::Ignored,
            outcome => outcome,
        }
    }
}

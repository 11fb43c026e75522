//! The store of a queue of dead letters.

use super::{Check, Finding, patience, words};
use crate::base::outcome::within;
use crate::dead_letter::DeadLetterQueue;

/// Counts the letters that wait, within 4 s: the store is there, and answers. How many there are is no matter of this
/// check: health knows that anyway.
impl Check for DeadLetterQueue {
    async fn check(&self) -> Finding {
        let name = self.name();
        match within(patience::DEFAULT, self.len()).await {
            Ok(Ok(_)) => Finding::Pass,
            Ok(Err(error)) => {
                Finding::Fail(format!("the letters of `{name}` cannot be counted: {}", words::causes(&error)))
            }
            Err(_) => Finding::Fail(format!(
                "the letters of `{name}` cannot be counted within {:?}: their store does not answer",
                patience::DEFAULT
            )),
        }
    }
}

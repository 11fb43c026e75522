//! The store of a dead-letter queue.

use super::check_trait::Check;
use super::finding::Finding;
use super::{text, timeouts};
use crate::base::outcome::within;
use crate::dead_letter::DeadLetterQueue;

/// Counts the parked letters within 4 s, to test that the store answers. Their number does not matter here: health has
/// limits for it.
impl Check for DeadLetterQueue {
    async fn check(&self) -> Finding {
        let name = self.name();
        match within(timeouts::DEFAULT, self.len()).await {
            Ok(Ok(_)) => Finding::Pass,
            Ok(Err(error)) => Finding::Fail(format!(
                "the letters of `{name}` cannot be counted: {}",
                text::error_chain(&error)
            )),
            Err(_) => Finding::Fail(format!(
                "the letters of `{name}` cannot be counted within {:?}: the store does not answer",
                timeouts::DEFAULT
            )),
        }
    }
}

//! The record of the attempts that retries make inside of a call. Start with `record.rs`.
//!
//! A dead letter lists the attempts of the retries inside it. While a [`Record`] is open around the poll of a future, a
//! retry in that future records its failed attempts. The record is a thread-local value that is taken back after each poll,
//! so no state is shared, and a call that succeeds only sets and resets one byte. A retry behind a spawned task is not
//! recorded.
//!
//! Of several retries in one call, one is recorded: the outer one of nested retries, the last failed one of consecutive
//! retries. The record of a retry that succeeds in the end is removed.

mod error_text;
mod record;

pub(crate) use error_text::{ErrorText, MESSAGE};
pub(crate) use record::{
    FailedAttempt, Record, RetryId, dropped, gave_up, is_recording, keep, record_failure, started, succeeded,
};

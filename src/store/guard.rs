//! Calls of a store that may be anyone's: a panic is an error of the store, not the end of whoever asked.

use super::error::Kind;
use super::{Pending, StoreError};
use crate::base::panics::{Panic, catch, caught};

/// What `call` answers with; a panic in it, or in what it began, is an error.
pub(crate) async fn guarded<'a, T>(call: impl FnOnce() -> Pending<'a, T>) -> Result<T, StoreError> {
    let pending = catch(call).map_err(|panic| panicked(&panic))?;
    caught(pending).await.unwrap_or_else(|panic| Err(panicked(&panic)))
}

fn panicked(panic: &Panic) -> StoreError {
    let said = panic.message().unwrap_or("no message");
    StoreError::new(Kind::Panicked, format!("the store panicked: {said}"))
}

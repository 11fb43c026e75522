//! Calls of a store that may be anyone's: a panic is an error of the store, not the end of whoever asked.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::Kind;
use super::{Pending, StoreError};
use crate::panics::{caught, said};

/// What `call` answers with; a panic in it, or in what it began, is an error.
pub(crate) async fn guarded<'a, T>(call: impl FnOnce() -> Pending<'a, T>) -> Result<T, StoreError> {
    let pending = catch_unwind(AssertUnwindSafe(call)).map_err(|panic| panicked(panic.as_ref()))?;
    caught(pending).await.unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
}

fn panicked(panic: &(dyn Any + Send)) -> StoreError {
    let said = said(panic).unwrap_or("no message");
    StoreError::new(Kind::Panicked, format!("the store panicked: {said}"))
}

//! Calls of a store that may be anyone's: a panic is an error of the store, not the end of whoever asked.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use super::error::Kind;
use super::{Pending, StoreError};

/// What `call` answers with; a panic in it, or in what it began, is an error.
pub(crate) async fn guarded<'a, T>(call: impl FnOnce() -> Pending<'a, T>) -> Result<T, StoreError> {
    let mut pending = catch_unwind(AssertUnwindSafe(call)).map_err(|panic| panicked(panic.as_ref()))?;
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| pending.as_mut().poll(cx))) {
        Ok(polled) => polled,
        Err(panic) => Poll::Ready(Err(panicked(panic.as_ref()))),
    })
    .await
}

fn panicked(panic: &(dyn Any + Send)) -> StoreError {
    let said = panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    StoreError::new(Kind::Panicked, format!("the store panicked: {said}"))
}

//! Calls to a store that may be a user's own: a panic in the store becomes a [`StoreError`].

use super::error::{Kind, StoreError};
use super::store_trait::Pending;
use crate::base::panics::{Panic, catch, caught};

/// Makes a call and waits for its result. A panic in `call`, or in the future that it returns, becomes an error.
pub(crate) async fn guarded<'a, T>(call: impl FnOnce() -> Pending<'a, T>) -> Result<T, StoreError> {
    let pending = catch(call).map_err(|panic| panicked(&panic))?;
    caught(pending).await.unwrap_or_else(|panic| Err(panicked(&panic)))
}

fn panicked(panic: &Panic) -> StoreError {
    let message = panic.message().unwrap_or("no message");
    StoreError::new(Kind::Panicked, format!("the store panicked: {message}"))
}

//! What the function of a fallback may return.

use std::convert::Infallible;
use std::error::Error;

use crate::base::error::Cause;

/// What the function of [`Fallback::call_or`](crate::Fallback::call_or) returns: a `T`, or a `Result<T, X>` with any error type
/// that is a [`Cause`]. `A` only distinguishes these cases, and is inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no answer of a fallback to a call that gives `{T}`",
    label = "the fallback has to give `{T}`, or a `Result` of `{T}`",
    note = "for example `|_| async {{ value }}`, or `|_| async {{ other().await }}`"
)]
pub trait Answer<T, A> {
    /// The answer, or the result of `ask` with the error.
    #[doc(hidden)]
    fn or_ask<R>(self, ask: impl FnOnce(&(dyn Error + 'static)) -> R) -> Result<T, R>;
}

/// Marks a value: see [`Answer`].
#[derive(Clone, Copy, Debug)]
pub struct FromValue(Infallible);

/// Marks a result whose error is a `Cause<K>`: see [`Answer`].
#[derive(Clone, Copy, Debug)]
pub struct FromResult<K>(Infallible, std::marker::PhantomData<fn() -> K>);

impl<T> Answer<T, FromValue> for T {
    fn or_ask<R>(self, _: impl FnOnce(&(dyn Error + 'static)) -> R) -> Result<T, R> {
        Ok(self)
    }
}

impl<T, X: Cause<K>, K> Answer<T, FromResult<K>> for Result<T, X> {
    fn or_ask<R>(self, ask: impl FnOnce(&(dyn Error + 'static)) -> R) -> Result<T, R> {
        self.map_err(|error| error.ask(ask))
    }
}

//! The keys of a keyed breaker.

use std::fmt::Display;
use std::hash::Hash;

/// A key of a keyed breaker; implemented for all types with these traits. It should be cheap to make and to clone, because
/// each call makes one. Its text is part of the name of its circuit, up to 256 bytes of it. Each known key is kept in memory:
/// bound the length of keys that come from outside.
///
/// `Eq` runs under a lock, and so does `Clone` in [`KeyedBreaker::circuits`](super::KeyedBreaker::circuits): they must
/// not call the breaker. `Hash` and `Display` run outside of locks.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key of a keyed breaker",
    label = "the closure has to return `Hash + Eq + Clone + Display + Send + Sync + 'static`",
    note = "derive `Clone`, `PartialEq`, `Eq` and `Hash`, and implement `Display`, or return a number, an `Arc<str>` or a `String`",
    note = "a key that borrows from the request is not `'static`: clone it"
)]
pub trait Key: Hash + Eq + Clone + Display + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<K: Hash + Eq + Clone + Display + Send + Sync + 'static> Key for K {}

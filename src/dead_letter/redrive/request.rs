//! From a letter to a request, and from a result to a verdict.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tower::BoxError;

use super::address;
use crate::base::error::Rejected;
use crate::base::outcome::{kind_of, line};
use crate::dead_letter::core::Core;
use crate::dead_letter::failure::Failure;
use crate::dead_letter::letter::{Letter, Payload};
use crate::layers::attempts::MESSAGE;
use crate::store::LetterId;

/// A request that can be made from a letter.
///
/// Every type that serde can read is one, and so is `http::Request<B>` for bodies made from bytes. `Via` keeps the
/// two apart; it is never written out.
pub trait Redrivable<Via>: Sized {
    /// The request in `letter`.
    ///
    /// # Errors
    /// When the letter holds a request of another kind; the text says which.
    fn from_letter(letter: &Letter, mark: Redriven) -> Result<Self, String>;
}

/// Tells what the result of a redriven request means.
#[doc(hidden)]
pub trait Judge<Res, E> {
    /// The verdict, at once or when the response has come to its end.
    fn judge(result: Result<Res, E>) -> Verdict;

    /// What an error of `poll_ready` says.
    fn describe(error: E) -> String;
}

/// What the result of a redriven request means.
#[doc(hidden)]
pub enum Verdict {
    /// It is known.
    Now(Meaning),
    /// It stands at the end of a response. The box keeps the type of its body out of the future of a redrive,
    /// which would else be `Send` only for the compiler's own idea of an error's lifetime.
    Later(Pin<Box<dyn Future<Output = Meaning> + Send>>),
}

/// See [`Verdict`].
#[doc(hidden)]
#[derive(Debug)]
pub enum Meaning {
    /// It got through.
    Success,
    /// It failed so.
    Failed(Failure),
    /// A circuit breaker refused; it was not sent.
    Refused(Option<Duration>),
}

/// Marks a request that is a letter on its way.
///
/// It is an extension of redriven HTTP requests; the layer of the same queue does not park such a request again.
#[derive(Clone, Copy)]
pub struct Redriven {
    id: LetterId,
    try_number: u32,
    queue: usize,
}

impl Redriven {
    pub(super) fn new(core: &Arc<Core>, letter: &Letter) -> Self {
        Self { id: letter.id, try_number: letter.tries.saturating_add(1), queue: address(core) }
    }

    /// The id of the letter.
    #[must_use]
    pub fn id(&self) -> LetterId {
        self.id
    }

    /// Which try this is, as [`Letter::tries`] counts them: the call that parked the letter was number 1, and each
    /// attempt of a retry in it one more.
    #[must_use]
    pub fn try_number(&self) -> u32 {
        self.try_number
    }
    pub(in crate::dead_letter) fn is_for(&self, core: &Arc<Core>) -> bool {
        self.queue == address(core)
    }
}

impl fmt::Debug for Redriven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redriven").field("id", &self.id).field("try_number", &self.try_number).finish()
    }
}

/// The way of a plain request.
#[doc(hidden)]
#[derive(Debug)]
pub enum PlainRequest {}

impl<T: DeserializeOwned> Redrivable<PlainRequest> for T {
    fn from_letter(letter: &Letter, _: Redriven) -> Result<Self, String> {
        match &letter.payload {
            Payload::Value(value) => T::deserialize(value).map_err(|error| error.to_string()),
            Payload::Http(_) => Err("it holds an HTTP request".to_owned()),
            Payload::Unreadable(_) => Err("it cannot be read".to_owned()),
        }
    }
}

impl<Res, E: Into<BoxError>> Judge<Res, E> for PlainRequest {
    fn judge(result: Result<Res, E>) -> Verdict {
        Verdict::Now(match result {
            Ok(_) => Meaning::Success,
            Err(error) => of_error(error.into().as_ref()),
        })
    }

    fn describe(error: E) -> String {
        described(error.into().as_ref())
    }
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(meaning) => meaning.fmt(f),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// What an error says of a letter on its way.
pub(super) fn of_error(error: &(dyn Error + 'static)) -> Meaning {
    match Rejected::find(error) {
        Some(rejected) => Meaning::Refused(rejected.retry_after()),
        None => Meaning::Failed(Failure::of_error(kind_of(error), error)),
    }
}

/// An error and its causes in one line.
pub(super) fn described(error: &(dyn Error + 'static)) -> String {
    line(error, MESSAGE)
}

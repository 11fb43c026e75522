//! The request of a letter, and what the result of its call means.

use std::any::type_name;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tower::BoxError;

use super::unreadable::field_of;
use crate::base::error::Rejected;
use crate::base::outcome::{kind_of, line};
use crate::base::panics::catch;
use crate::dead_letter::core::Core;
use crate::dead_letter::failure::Failure;
use crate::dead_letter::letter::{Letter, Payload, Unsendable};
use crate::dead_letter::sending::Redriven;
use crate::layers::attempts::MESSAGE;

/// A request that can be made from a letter and sent through a service with the response `Res` and the error `E`.
///
/// Every type that serde can deserialize is one, and so is `http::Request<B>` for a body `B: From<Bytes>`. `Via` keeps the
/// two implementations apart; the compiler infers it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be made from a dead letter for this service",
    label = "requests of this service have to be `serde::de::DeserializeOwned`, or `http::Request<B>` with `B: From<Bytes>`",
    note = "the error of the service is `{E}`: it has to become a `tower::BoxError`",
    note = "for a service of `http::Request` use `redrive_http`: it makes requests with a `ReplayBody`"
)]
pub trait Redrivable<Via, Res, E>: Sized {
    /// Returns the request in `letter`.
    ///
    /// # Errors
    /// When the letter holds a request of another type. The text says what does not fit, and quotes nothing of the request;
    /// it is needed only if `explain` is set.
    fn from_letter(letter: &Letter, mark: Redriven, explain: bool) -> Result<Self, Option<String>>;

    /// Decides what the result of the call means.
    fn judge(result: Result<Res, E>) -> Judged;

    /// Describes an error of `poll_ready`.
    fn describe(error: E) -> String;
}

/// A verdict, at once or when the response body has ended.
pub enum Judged {
    /// The verdict.
    Now(Verdict),
    /// The verdict needs the end of the response body. The future is boxed so that its type is not part of the future of
    /// a redrive, which would not be `Send` for every lifetime of an error.
    Later(Pin<Box<dyn Future<Output = Verdict> + Send>>),
}

/// What the result of a call means for its letter.
#[derive(Debug)]
pub enum Verdict {
    /// The letter was delivered.
    Delivered,
    /// The letter failed.
    Failed(Failure),
    /// A layer such as a circuit breaker rejected the letter before it was sent, and may say when to try again.
    Rejected(Option<Duration>),
}

impl fmt::Debug for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(verdict) => verdict.fmt(f),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// Marks the implementation for plain requests.
#[derive(Debug)]
pub struct ViaSerde(Infallible);

#[diagnostic::do_not_recommend]
impl<T, Res, E> Redrivable<ViaSerde, Res, E> for T
where
    T: DeserializeOwned,
    E: Into<BoxError>,
{
    fn from_letter(letter: &Letter, _: Redriven, explain: bool) -> Result<Self, Option<String>> {
        match &letter.payload {
            Payload::Value(value) => T::deserialize(value).map_err(|error| {
                explain.then(|| match field_of::<T>(value, &error) {
                    Some(field) => {
                        format!("its field `{field}` does not fit the type `{}`", type_name::<T>())
                    }
                    None => format!("it does not fit the type `{}`", type_name::<T>()),
                })
            }),
            Payload::Http(_) => Err(Some("it holds an HTTP request".to_owned())),
            Payload::Unreadable(_) => Err(Some("it cannot be read".to_owned())),
        }
    }

    fn judge(result: Result<Res, E>) -> Judged {
        Judged::Now(match result {
            Ok(_) => Verdict::Delivered,
            Err(error) => judge_error(error.into().as_ref()),
        })
    }

    fn describe(error: E) -> String {
        describe(error.into().as_ref())
    }
}

/// What an error of the service means.
pub(super) fn judge_error(error: &(dyn Error + 'static)) -> Verdict {
    match Rejected::find(error) {
        Some(rejected) => Verdict::Rejected(rejected.retry_after()),
        None => Verdict::Failed(Failure::of_error(kind_of(error), error)),
    }
}

/// An error and its causes in one line.
pub(super) fn describe(error: &(dyn Error + 'static)) -> String {
    line(error, MESSAGE)
}

/// Why a letter is skipped.
pub(super) struct Skipped {
    pub(super) why: Unsendable,
    /// What does not fit, in a letter of another type.
    pub(super) detail: Option<String>,
}

/// The request of `letter`, or why it cannot be sent. A letter of another type is explained if `explain` is set.
pub(super) fn request<Req, Via, Res, E>(
    core: &Arc<Core>,
    letter: &Letter,
    explain: bool,
) -> Result<Req, Skipped>
where
    Req: Redrivable<Via, Res, E>,
{
    if let Some(why) = letter.flaw() {
        return Err(Skipped { why, detail: None });
    }
    // The user's code may panic on a letter. That must not end the redrive.
    let made = catch(|| Req::from_letter(letter, Redriven::new(core, letter.id, letter.tries), explain));
    made.unwrap_or_else(|_| Err(Some("its Deserialize panicked".to_owned())))
        .map_err(|detail| Skipped { why: Unsendable::OtherType, detail })
}

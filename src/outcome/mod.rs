//! What became of a call, and who decides.
//!
//! Breaker, retry, timing and dead letters all ask the same question, so they share one answer: a
//! [`Classify`] turns a result into an [`Outcome`]. A response that streams is asked twice, at its head and
//! at its end, because a gRPC status stands in the trailers and a body may break midway.
//!
//! # Calls that are given up
//! A call whose future is dropped before its end was *cancelled*. It is a failure where that is the service's fault:
//! - **A layer of this crate gave it up for time** ([`Retry`](crate::Retry)'s `attempt_timeout` and `deadline`, a
//!   `BodyTimeoutLayer`, the time-out of a check): [`FailureKind::Timeout`], however short the time was, in each layer
//!   inside of that one that runs in the same task.
//! - **Anything else dropped it**, such as the time-out of another crate or a client that is gone: the layer cannot
//!   tell why. To a circuit breaker it is [`FailureKind::Cancelled`] when the call had run for longer than
//!   [`Cancelled`](https://docs.rs/campanile/latest/campanile/breaker/enum.Cancelled.html) allows, else
//!   [`Outcome::Ignored`]. `Timing` counts each as [`FailureKind::Cancelled`].
//!
//! # Streams
//! A response over HTTP or gRPC ends where its body ends. A body that its reader drops before that is a cancelled call
//! too, and never a success, whatever the head said:
//! - It is [`FailureKind::Timeout`] where a layer of this crate dropped it for time.
//! - It is [`FailureKind::Cancelled`] where the stream had *stalled*: its reader was waiting, and no frame came for
//!   longer than the limit. The limit of a breaker is that for calls; the limit of `Timing` is one second.
//! - Else it is [`Outcome::Ignored`]: it neither opens nor closes a circuit, and frees the permit of a half-open one.
//!
//! How long the stream lived does not matter. Nor does silence that belongs to it: that of a `text/event-stream`,
//! silence no longer than one before in the same stream, and silence that its reader bore for ten minutes and more
//! (unless the limit is longer). A reader that does not poll does not wait, however long it stays away. A stream that is
//! often silent for other reasons, such as a gRPC `Watch`, is best put behind a breaker of its own with
//! `Cancelled::FailureAfter` or `Cancelled::Ignored`.
//!
//! A caller that reads the head alone leaves before the end, unless there is no body: the answer to `HEAD`, and one of
//! status 1xx, 204 or 304, end with their head. Who wants its calls to count as successes reads them to their end, which
//! is the last byte where `Content-Length` or the body itself tells its length.
//!
//! # Bodies of requests
//! A service that does not read the body of its request hangs, and a cancelled call to it counts as above. A caller that
//! does not go on with the body is at fault itself. A breaker does not see the body; a [`Retry`](crate::Retry) or a
//! dead letter queue further out does, and where the service waits for its caller when the call is given up before its
//! head, for whatever reason, the breaker ignores the call. Without one of these, bound the time of uploads further in,
//! as by tower-http's `RequestBodyTimeoutLayer`: a slow client gets an answer then.
//!
//! Once the head is there both sides may wait for each other, and the rule for streams holds.
//!
//! # Example
//! ```
//! use campanile::outcome::{Classify, FailureKind, Outcome};
//!
//! // An empty answer counts as a failure; every error does too.
//! let empty_is_bad = |result: Result<&Vec<u8>, &tower::BoxError>| match result {
//!     Ok(answer) if !answer.is_empty() => Outcome::Success,
//!     _ => Outcome::Failure(FailureKind::Error),
//! };
//! assert_eq!(empty_is_bad.classify(Ok(&vec![])), Outcome::Failure(FailureKind::Error));
//! ```

#[cfg(feature = "http")]
mod body;
mod cause;
mod codes;
mod given_up;
#[cfg(feature = "grpc")]
mod grpc;
mod guarded;
mod kind;
#[cfg(any(feature = "http", feature = "otlp"))]
mod retry_after;
#[cfg(feature = "http")]
mod silence;
#[cfg(feature = "http")]
mod status;
mod words;

#[cfg(feature = "http")]
pub use body::ObservedBody;
pub use cause::ByCause;
pub(crate) use codes::GRPC_CODES;
#[cfg(any(feature = "breaker", feature = "checks"))]
pub(crate) use given_up::Timed;
#[cfg(any(feature = "retry", feature = "dead-letters"))]
pub(crate) use given_up::by_caller;
#[cfg(feature = "breaker")]
pub(crate) use given_up::is_by_caller;
pub(crate) use given_up::{for_time, is_for_time, within};
#[cfg(feature = "grpc")]
pub(crate) use grpc::code_in;
#[cfg(feature = "grpc")]
pub use grpc::{ByGrpcStatus, grpc_outcome};
pub(crate) use guarded::Guarded;
pub use guarded::Judged;
#[cfg(feature = "http")]
pub use guarded::Streamed;
pub(crate) use kind::kind_of;
#[cfg(any(feature = "http", feature = "otlp"))]
pub(crate) use retry_after::retry_after;
#[cfg(feature = "http")]
pub use status::ByHttpStatus;
pub(crate) use words::{line, name_of, shown};

use std::error::Error;

use serde::{Deserialize, Serialize};
use tower::BoxError;

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It went well, or failed through the caller's own fault.
    Success,
    /// It says nothing about the service and is not counted.
    Ignored,
    /// It failed, and another attempt may go better.
    Failure(FailureKind),
    /// It failed, and another attempt would fail too.
    Permanent(FailureKind),
}

impl Outcome {
    /// The kind of failure, if it is one.
    #[must_use]
    pub fn failure(self) -> Option<FailureKind> {
        match self {
            Self::Failure(kind) | Self::Permanent(kind) => Some(kind),
            Self::Success | Self::Ignored => None,
        }
    }
}

words! {
    /// How a call failed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    #[non_exhaustive]
    pub enum FailureKind {
        /// It returned an error or an error response.
        Error = "error",
        /// It did not answer in time, or a layer of this crate gave it up for time.
        Timeout = "timeout",
        /// It said that it has too much to do (429, `RESOURCE_EXHAUSTED`).
        Overload = "overload",
        /// It panicked.
        Panic = "panic",
        /// Its caller gave up, or left while the body of the response stalled.
        Cancelled = "cancelled",
        /// A layer further down refused it, such as another circuit breaker.
        Rejected = "rejected",
    }
    /// The kind as a metric attribute: one word in snake case.
    pub as_str;
    /// Every kind, in the order of [`FailureKind::index`].
    pub ALL;
}

impl FailureKind {
    /// Its place in [`FailureKind::ALL`], for counters kept in an array.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Decides what became of a call.
///
/// Closures are classifiers: `Fn(Result<&Res, &E>) -> Outcome`. What a layer asks about:
/// - `Res` is the response; for the layers of HTTP and gRPC it is
///   [`http::response::Parts`](https://docs.rs/http/latest/http/response/struct.Parts.html), the head of the response.
/// - `E` is `dyn Error + 'static` where a layer passes the error of its service on unchanged, as those of HTTP, gRPC
///   and timing do, so that a classifier sees the causes of any error; it is [`tower::BoxError`] where the layer
///   boxes errors.
///
/// # Example
/// ```
/// use std::error::Error;
/// use campanile::outcome::{ByResult, Classify, FailureKind, Outcome};
///
/// // A full disk stays full; any other error is judged as usual.
/// let rule = |result: Result<&(), &(dyn Error + 'static)>| {
///     let io = result.err().and_then(|error| error.downcast_ref::<std::io::Error>());
///     match io.map(std::io::Error::kind) {
///         Some(std::io::ErrorKind::StorageFull) => Outcome::Permanent(FailureKind::Error),
///         _ => ByResult.classify(result),
///     }
/// };
/// let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
/// assert_eq!(rule.classify(Err(&full)), Outcome::Permanent(FailureKind::Error));
/// ```
pub trait Classify<Res, E: ?Sized = dyn Error + 'static> {
    /// The outcome of a result; for a response that streams, of its head alone.
    fn classify(&self, result: Result<&Res, &E>) -> Outcome;

    /// The outcome of a response whose head was a success and whose body was read to its end, where these trailers
    /// stood. A response without a body gives its headers.
    #[cfg(feature = "http")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    fn classify_end(&self, trailers: Option<&http::HeaderMap>) -> Outcome {
        let _ = trailers;
        Outcome::Success
    }
}

/// What waits for the outcome of one call. Dropped without one, the call was cancelled or its code panicked.
#[doc(hidden)]
pub trait Settle {
    /// The call has ended so. It is told once.
    fn settle(&mut self, outcome: Outcome);

    /// User code is about to run (`true`) or has returned (`false`): a drop in between is a panic.
    fn in_user_code(&mut self, running: bool);

    /// The call was polled and is not done.
    fn pending(&mut self) {}

    /// The head of the response is here, on its way to the caller.
    #[cfg(feature = "http")]
    fn head(&mut self, head: &mut http::response::Parts) {
        let _ = head;
    }

    /// The response was read to its end, where these trailers stood; its outcome follows.
    #[cfg(feature = "http")]
    fn end(&mut self, trailers: Option<&http::HeaderMap>) {
        let _ = trailers;
    }

    /// A stream that is silent for longer while its reader waits has stalled; none when that is no failure.
    #[cfg(feature = "http")]
    fn patience(&self) -> Option<std::time::Duration> {
        None
    }
}

impl<F, Res, E: ?Sized> Classify<Res, E> for F
where
    F: Fn(Result<&Res, &E>) -> Outcome,
{
    fn classify(&self, result: Result<&Res, &E>) -> Outcome {
        self(result)
    }
}

/// The plain rule: `Ok` is a success, an error is a failure of the kind that its causes tell.
///
/// The whole chain of an error is looked at, 128 causes at most. It is
/// - [`Rejected`](FailureKind::Rejected) with a refusal by another layer in it,
/// - [`Overload`](FailureKind::Overload) with that of tower's `load_shed`, or a gRPC status of `RESOURCE_EXHAUSTED`,
/// - [`Timeout`](FailureKind::Timeout) with one of tower, of tokio, of the operating system or of this crate, or a gRPC
///   status of `DEADLINE_EXCEEDED`. Clients such as hyper and reqwest keep the types of their timeouts to themselves, so
///   a type counts too that `Debug` shows as `Elapsed`, `Timeout`, `TimeoutError`, `TimeoutExpired`, `TimedOut` or
///   another name that ends in `TimedOut`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByResult;

impl<Res> Classify<Res> for ByResult {
    fn classify(&self, result: Result<&Res, &(dyn Error + 'static)>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => Outcome::Failure(kind_of(error)),
        }
    }
}

impl<Res> Classify<Res, BoxError> for ByResult {
    fn classify(&self, result: Result<&Res, &BoxError>) -> Outcome {
        Classify::<Res>::classify(self, result.map_err(|error| &**error as &(dyn Error + 'static)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_the_place_in_the_list() {
        for (place, kind) in FailureKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), place);
        }
    }
}

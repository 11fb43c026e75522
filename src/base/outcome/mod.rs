//! Outcomes of calls, and the classifiers that decide them.
//!
//! Breaker, retry, timing and dead letters share one classifier: a [`Classify`] turns a result into an [`Outcome`]. A
//! streaming response is classified twice, at its head and at its end, because a gRPC status is in the trailers and a body
//! may break midway.
//!
//! # Calls that are given up
//! A call whose future is dropped before its end was *cancelled*. It is a failure if the service caused that:
//! - **A layer of this crate dropped it for time** ([`Retry`](crate::Retry)'s `attempt_timeout` and `deadline`, a
//!   `BodyTimeoutLayer`, the time-out of a check): [`FailureKind::Timeout`], however short the time was, for each layer
//!   inside that runs in the same task.
//! - **Anything else dropped it**, such as the time-out of another crate or a client that disconnected. The layer
//!   cannot tell why. For a circuit breaker it is [`FailureKind::Cancelled`] if the call had run for longer than
//!   [`Cancelled`](https://docs.rs/campanile/latest/campanile/breaker/enum.Cancelled.html) allows, else
//!   [`Outcome::Ignored`]. `Timing` counts each as [`FailureKind::Cancelled`].
//!
//! # Streams
//! A response over HTTP or gRPC ends with its body. If its reader drops the body before the end, the call is cancelled too;
//! it is never a success, whatever the head said:
//! - It is [`FailureKind::Timeout`] if a layer of this crate dropped it for time.
//! - It is [`FailureKind::Cancelled`] if the stream had *stalled*: its reader was waiting, and no frame came for longer
//!   than the limit. A breaker uses its limit for calls; `Timing` uses one second.
//! - Otherwise it is [`Outcome::Ignored`]: it neither opens nor closes a circuit, and frees the permit of a half-open one.
//!
//! The age of the stream does not matter. These silences are not stalls: any in a `text/event-stream`, one no longer than
//! an earlier one in the same stream, and one for which the reader waited ten minutes or more (unless the limit is
//! longer). Only time in which the reader polls counts. Put streams that are silent for other reasons, such as a gRPC
//! `Watch`, behind a breaker of their own with `Cancelled::FailureAfter` or `Cancelled::Ignored`.
//!
//! A caller that reads only the head cancels the call, unless there is no body: responses to `HEAD`, and those of status
//! 1xx, 204 or 304, end with their head. To count as a success, a response must be read to its end, which is the last byte
//! if `Content-Length` or the body itself tells its length.
//!
//! # Bodies of requests
//! If the service does not read the request body, it hangs, and a cancelled call counts as above. If the caller does not
//! continue the body, the caller is at fault. A breaker does not see the body, but a [`Retry`](crate::Retry) or a dead
//! letter queue further out does: if the service was waiting for the caller when the call was cancelled, the breaker
//! ignores the call. Without these layers, bound the time of uploads further in, such as by tower-http's
//! `RequestBodyTimeoutLayer`: a slow client then gets a response.
//!
//! After the head, either side may wait for the other, and the rule for streams holds.
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

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It succeeded, or failed through the caller's fault.
    Success,
    /// It says nothing about the service. It is not counted.
    Ignored,
    /// It failed. Another attempt may succeed.
    Failure(FailureKind),
    /// It failed. Another attempt would fail too.
    Permanent(FailureKind),
}

impl Outcome {
    /// Returns the kind of failure, if it is one.
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
        /// It did not answer in time, or a layer of this crate dropped it for time.
        Timeout = "timeout",
        /// It is overloaded (429, `RESOURCE_EXHAUSTED`).
        Overload = "overload",
        /// It panicked.
        Panic = "panic",
        /// Its caller cancelled it, or dropped a response body that had stalled.
        Cancelled = "cancelled",
        /// A layer further in refused it, such as another circuit breaker.
        Rejected = "rejected",
    }
    /// The kind as a metric attribute, in snake case.
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

/// Decides the outcome of a call.
///
/// Closures are classifiers: `Fn(Result<&Res, &E>) -> Outcome`.
/// - `Res` is the response; for the layers of HTTP and gRPC it is
///   [`http::response::Parts`](https://docs.rs/http/latest/http/response/struct.Parts.html), the head of the response.
/// - `E` is `dyn Error + 'static` for layers that pass errors on unchanged (HTTP, gRPC and timing), so that a classifier
///   sees the causes of any error. It is [`tower::BoxError`] for layers that box errors.
///
/// # Example
/// ```
/// use std::error::Error;
/// use campanile::outcome::{ByResult, Classify, FailureKind, Outcome};
///
/// // A full disk is permanent; any other error is classified as usual.
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
    /// The outcome of a result; for a streaming response, of its head.
    fn classify(&self, result: Result<&Res, &E>) -> Outcome;

    /// The outcome of a response whose head was a success and whose body was read to its end, by its trailers. For a
    /// response without a body, `trailers` are its headers.
    #[cfg(feature = "http")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    fn classify_end(&self, trailers: Option<&http::HeaderMap>) -> Outcome {
        let _ = trailers;
        Outcome::Success
    }
}

/// Observes one call. If it is dropped without an outcome, the call was cancelled or panicked.
#[doc(hidden)]
pub trait Settle {
    /// The call has ended with this outcome. Called once.
    fn settle(&mut self, outcome: Outcome);

    /// User code is about to run (`true`) or has returned (`false`). A drop in between is a panic.
    fn in_user_code(&mut self, running: bool);

    /// The call was polled and is pending.
    fn pending(&mut self) {}

    /// The head of the response goes to the caller.
    #[cfg(feature = "http")]
    fn head(&mut self, head: &mut http::response::Parts) {
        let _ = head;
    }

    /// The response was read to its end, with these trailers. Its outcome follows.
    #[cfg(feature = "http")]
    fn end(&mut self, trailers: Option<&http::HeaderMap>) {
        let _ = trailers;
    }

    /// A stream has stalled if it is silent for longer while its reader waits; `None` if that is no failure.
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

/// The default classifier: `Ok` is a success, an error is a failure whose kind is found in its causes.
///
/// The chain of the error's causes is searched, 128 at most. The kind is
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

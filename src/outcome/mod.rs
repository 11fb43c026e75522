//! What became of a call, and who decides.
//!
//! Breaker, retry, timing and dead letters all ask the same question, so they share one answer: a
//! [`Classify`] turns a result into an [`Outcome`]. A response that streams is asked twice, at its head and
//! at its end, because a gRPC status stands in the trailers and a body may break midway.
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
#[cfg(feature = "grpc")]
mod grpc;
mod guarded;
mod kind;
#[cfg(any(feature = "http", feature = "otlp"))]
mod retry_after;
#[cfg(feature = "http")]
mod status;
mod words;

#[cfg(feature = "http")]
pub use body::ObservedBody;
pub use cause::ByCause;
pub(crate) use codes::GRPC_CODES;
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
        /// It did not answer in time.
        Timeout = "timeout",
        /// It said that it has too much to do (429, `RESOURCE_EXHAUSTED`).
        Overload = "overload",
        /// It panicked.
        Panic = "panic",
        /// Its caller gave up.
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

    /// The outcome of a stream whose head was a success and that broke off without an error of its own.
    #[cfg(feature = "http")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http")))]
    fn classify_end(&self, end: StreamEnd<'_>) -> Outcome {
        let _ = end;
        Outcome::Success
    }
}

/// How a response body ended.
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
#[derive(Clone, Copy, Debug)]
pub enum StreamEnd<'a> {
    /// It was read to its end, where these trailers stood; a response without body gives its headers.
    Complete(Option<&'a http::HeaderMap>),
    /// Its reader dropped it before the end.
    Dropped,
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

    /// The response ended so; its outcome follows.
    #[cfg(feature = "http")]
    fn end(&mut self, end: StreamEnd<'_>) {
        let _ = end;
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

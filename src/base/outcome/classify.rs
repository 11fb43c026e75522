//! Outcomes and classifiers.

use std::error::Error;

use serde::{Deserialize, Serialize};

/// The outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It succeeded, or failed through the caller's fault.
    Success,
    /// It is not counted, because the service did not cause it.
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
        /// It did not answer in time, or a layer of this crate dropped it because of a time limit.
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not decide the outcome of a `Result<&{Res}, &{E}>`",
    label = "this layer needs a `Classify<{Res}, {E}>`, such as a closure `|result: Result<&{Res}, &{E}>| Outcome::Success`",
    note = "a closure has to name the type of its argument",
    note = "for the layers of HTTP and gRPC that is `Result<&http::response::Parts, &(dyn std::error::Error + 'static)>`",
    note = "for `layer` it is the response of the service, with `&tower::BoxError`; of a timing, with `&(dyn std::error::Error + 'static)`"
)]
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

#[diagnostic::do_not_recommend]
impl<F, Res, E: ?Sized> Classify<Res, E> for F
where
    F: Fn(Result<&Res, &E>) -> Outcome,
{
    fn classify(&self, result: Result<&Res, &E>) -> Outcome {
        self(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_the_position_in_all() {
        for (place, kind) in FailureKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), place);
        }
    }
}

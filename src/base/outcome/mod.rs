//! Outcomes of calls, and the classifiers that decide them.
//!
//! To read the code, start with `classify.rs`: [`Outcome`], [`FailureKind`] and the trait [`Classify`]. `by_*.rs` hold the
//! classifiers, `settle.rs` and `guarded.rs` report the end of a call, `body.rs` the end of a response body.
//!
//! Breaker, retry, timing and dead letters share one classifier: a [`Classify`] turns a result into an [`Outcome`]. A
//! streaming response is classified twice, at its head and at its end, because a gRPC status is in the trailers and a body
//! may break midway.
//!
//! # Cancelled calls
//! A call whose future is dropped before its end was *cancelled*. It is a failure if the service caused that:
//! - **A layer of this crate dropped it because of a time limit** ([`Retry`](crate::Retry)'s `attempt_timeout` and
//!   `deadline`, a `BodyTimeoutLayer`, the timeout of a check): [`FailureKind::Timeout`], however short the limit was, for
//!   each inner layer that runs in the same task.
//! - **Anything else dropped it**, such as the timeout of another crate or a client that disconnected. The layer
//!   cannot see why. For a circuit breaker it is [`FailureKind::Cancelled`] if the call had run for longer than
//!   [`Cancelled`](https://docs.rs/campanile/latest/campanile/breaker/enum.Cancelled.html) allows, else
//!   [`Outcome::Ignored`]. `Timing` counts each as [`FailureKind::Cancelled`].
//!
//! # Streams
//! A response over HTTP or gRPC ends with its body. If its reader drops the body before the end, the call is cancelled too;
//! it is never a success, even if the head was:
//! - It is [`FailureKind::Timeout`] if a layer of this crate dropped it because of a time limit.
//! - It is [`FailureKind::Cancelled`] if the stream had *stalled*: its reader was waiting, and no frame came for longer
//!   than the limit. A breaker uses its limit for calls; `Timing` uses one second.
//! - Otherwise it is [`Outcome::Ignored`]: it neither opens nor closes a circuit, and frees the permit of a half-open one.
//!
//! The age of the stream does not matter. These silences are not stalls: any in a `text/event-stream`, one no longer than
//! an earlier one in the same stream, and one for which the reader waited ten minutes or more (unless the limit is
//! longer). Only time in which the reader polls counts. Put streams that are silent for other reasons, such as a gRPC
//! `Watch`, behind a separate breaker with `Cancelled::FailureAfter` or `Cancelled::Ignored`.
//!
//! A caller that reads only the head cancels the call, unless there is no body: responses to `HEAD`, and those of status
//! 1xx, 204 or 304, end with their head. To count as a success, a response must be read to its end, which is the last byte
//! if `Content-Length` or the body itself gives its length.
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
mod by_cause;
#[cfg(feature = "grpc")]
mod by_grpc;
mod by_result;
#[cfg(feature = "http")]
mod by_status;
mod classify;
mod codes;
mod given_up;
#[cfg(all(feature = "grpc", any(feature = "breaker", feature = "retry")))]
mod grpc_message;
mod guarded;
#[cfg(any(feature = "http", feature = "otlp"))]
mod retry_after;
mod settle;
#[cfg(feature = "http")]
mod silence;
mod text;

#[cfg(feature = "http")]
pub use body::ObservedBody;
#[cfg(all(feature = "http", feature = "telemetry"))]
pub(crate) use body::{content_length, has_events, has_no_content};
pub use by_cause::ByCause;
#[cfg(feature = "grpc")]
pub use by_grpc::ByGrpcStatus;
#[cfg(feature = "grpc")]
pub(crate) use by_grpc::code_in;
pub use by_result::ByResult;
pub(crate) use by_result::kind_of;
#[cfg(feature = "http")]
pub use by_status::ByHttpStatus;
pub use classify::{Classify, FailureKind, Outcome};
pub(crate) use codes::GRPC_CODES;
#[cfg(feature = "grpc")]
pub use codes::grpc_outcome;
#[cfg(any(feature = "breaker", feature = "checks"))]
pub(crate) use given_up::Timed;
#[cfg(feature = "breaker")]
pub(crate) use given_up::is_waiting_for_caller;
#[cfg(any(feature = "retry", feature = "dead-letters"))]
pub(crate) use given_up::waiting_for_caller;
pub(crate) use given_up::{is_timing_out, timing_out, within};
#[cfg(all(feature = "grpc", any(feature = "breaker", feature = "retry")))]
pub(crate) use grpc_message::grpc_message;
pub(crate) use guarded::Guarded;
pub(crate) use guarded::Judged;
#[cfg(feature = "http")]
pub(crate) use guarded::Streamed;
#[cfg(any(feature = "http", feature = "otlp"))]
pub(crate) use retry_after::retry_after;
#[doc(hidden)]
pub use settle::Settle;
#[cfg(all(feature = "http", feature = "telemetry"))]
pub(crate) use silence::Silence;
pub(crate) use text::{line, name_of, shown};

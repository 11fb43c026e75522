//! The default classifier: the kind of a failure by the causes of its error.

use std::error::Error;
use std::fmt::{self, Write};
use std::io;
use std::str;

use tower::BoxError;

use super::classify::{Classify, FailureKind, Outcome};
#[cfg(feature = "grpc")]
use super::codes::grpc_outcome;
use super::text::derived_name;
use crate::base::cut::cut;
use crate::base::error::{Rejected, TimedOut, causes};
use crate::base::panics::catch;

/// The default classifier: `Ok` is a success, an error is a failure whose kind is found in its causes.
///
/// At most 128 causes of the error are searched for these. If several are there, the one that is first in this list decides
/// the kind; without any, the kind is [`Error`](FailureKind::Error).
/// - [`Rejected`](FailureKind::Rejected): a refusal by another layer of this crate.
/// - [`Overload`](FailureKind::Overload): the error of tower's `load_shed`, or a gRPC status of `RESOURCE_EXHAUSTED`.
/// - [`Timeout`](FailureKind::Timeout): a timeout of tower, of tokio, of the operating system or of this crate, or a gRPC
///   status of `DEADLINE_EXCEEDED`. The types of the timeouts of clients such as hyper and reqwest are private. So a type
///   counts too if its `Debug` text begins with `Elapsed`, `Timeout`, `TimeoutError`, `TimeoutExpired`, `TimedOut` or
///   another name that ends in `TimedOut`.
///
/// With the feature `reqwest`, the errors of reqwest are known. A request that cannot be sent (`is_builder`) and redirects
/// without an end (`is_redirect`) are permanent. An error of `error_for_status` has the kind of its status, and is permanent
/// for 4xx except 408, 425 and 429, and for 501 and 505.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByResult;

impl<Res> Classify<Res> for ByResult {
    fn classify(&self, result: Result<&Res, &(dyn Error + 'static)>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => outcome_of_error(error),
        }
    }
}

impl<Res> Classify<Res, BoxError> for ByResult {
    fn classify(&self, result: Result<&Res, &BoxError>) -> Outcome {
        Classify::<Res>::classify(self, result.map_err(|error| &**error as &(dyn Error + 'static)))
    }
}

/// The outcome of a call that ended with `error`: see [`ByResult`].
pub(super) fn outcome_of_error(error: &(dyn Error + 'static)) -> Outcome {
    #[cfg(feature = "reqwest")]
    if let Some(outcome) = super::by_reqwest::outcome_of(error) {
        return outcome;
    }
    Outcome::Failure(kind_of(error))
}

/// The kind of failure by `error` and its causes: see [`ByResult`].
pub(crate) fn kind_of(error: &(dyn Error + 'static)) -> FailureKind {
    let mut found = FailureKind::Error;
    for error in causes(error) {
        match kind_of_one(error) {
            FailureKind::Rejected => return FailureKind::Rejected,
            FailureKind::Overload => found = FailureKind::Overload,
            FailureKind::Timeout if found == FailureKind::Error => found = FailureKind::Timeout,
            _ => {}
        }
    }
    found
}

fn kind_of_one(error: &(dyn Error + 'static)) -> FailureKind {
    if error.is::<Rejected>() {
        return FailureKind::Rejected;
    }
    if error.is::<tower::load_shed::error::Overloaded>() {
        return FailureKind::Overload;
    }
    if error.is::<TimedOut>() {
        return FailureKind::Timeout;
    }
    if let Some(io) = error.downcast_ref::<io::Error>() {
        let timed_out = io.kind() == io::ErrorKind::TimedOut;
        return if timed_out { FailureKind::Timeout } else { FailureKind::Error };
    }
    #[cfg(feature = "grpc")]
    if let Some(status) = error.downcast_ref::<tonic::Status>() {
        let outcome = grpc_outcome(status.code().into());
        return outcome.failure().unwrap_or(FailureKind::Error);
    }
    #[cfg(feature = "reqwest")]
    if let Some(outcome) = crate::base::error::reqwest_in(error).and_then(super::by_reqwest::by_itself) {
        return outcome.failure().unwrap_or(FailureKind::Error);
    }
    if is_named_timeout(error) { FailureKind::Timeout } else { FailureKind::Error }
}

/// Whether the name of the error's type, or of its variant, is that of a timeout.
fn is_named_timeout(error: &(dyn Error + 'static)) -> bool {
    let mut start = Start { bytes: [0; 48], length: 0 };
    // An error means that the buffer is full or that `Debug` failed. The text so far is used.
    if catch(|| write!(start, "{error:?}").is_ok()).is_err() {
        return false;
    }
    let text = str::from_utf8(&start.bytes[..start.length]).unwrap_or_default();
    derived_name(text).is_some_and(|name| {
        let name = name.rsplit("::").next().unwrap_or(name);
        let whole = matches!(name, "Elapsed" | "Timeout" | "TimeoutError" | "TimeoutExpired");
        whole || name.ends_with("TimedOut")
    })
}

/// The first bytes of a text, without an allocation. Writes fail when it is full.
struct Start {
    bytes: [u8; 48],
    length: usize,
}

impl Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.length..];
        let taken = cut(text, room.len());
        room[..taken.len()].copy_from_slice(taken.as_bytes());
        self.length += taken.len();
        if taken.len() < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::RejectReason;

    fn kind(error: impl Into<BoxError>) -> FailureKind {
        kind_of(error.into().as_ref())
    }

    #[test]
    fn causes_decide_the_kind() {
        let elapsed = tower::timeout::error::Elapsed::new;
        assert_eq!(kind("broken"), FailureKind::Error);
        assert_eq!(kind(elapsed()), FailureKind::Timeout);
        assert_eq!(kind(tower::load_shed::error::Overloaded::new()), FailureKind::Overload);
        assert_eq!(kind(io::Error::from(io::ErrorKind::TimedOut)), FailureKind::Timeout);
        assert_eq!(kind(io::Error::other(elapsed())), FailureKind::Timeout);
        let rejected = Rejected::new("db", RejectReason::Open, None);
        assert_eq!(kind(io::Error::new(io::ErrorKind::TimedOut, rejected)), FailureKind::Rejected);
    }

    /// An error with this `Debug` text.
    struct Written(&'static str);

    impl fmt::Debug for Written {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            assert!(!self.0.is_empty(), "on purpose");
            f.write_str(self.0)
        }
    }

    impl fmt::Display for Written {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an error")
        }
    }

    impl Error for Written {}

    #[test]
    fn a_timeout_of_another_crate_is_recognized_by_its_name() {
        let names = [
            "TimedOut",
            "Elapsed(())",
            "Timeout(Wait)",
            "TimeoutError(())",
            "PoolTimedOut",
            "KeepAliveTimedOut",
        ];
        for name in names {
            assert_eq!(kind(Written(name)), FailureKind::Timeout, "{name}");
        }
        let others =
            ["", "InvalidTimeout", "Timeout of 7 s", "NotElapsed", "\"TimedOut\"", "TimeoutErrorButNo"];
        for name in others {
            assert_eq!(kind(Written(name)), FailureKind::Error, "{name}");
        }
        let long = "n".repeat(100).leak();
        assert_eq!(kind(Written(long)), FailureKind::Error);
    }
}

//! Errors of calls that a layer refused or ended.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::chain::find_cause;

/// The error of a call that a layer refused.
///
/// In a stack of plain services it is inside a [`tower::BoxError`]; [`Rejected::find`] finds it. A function that was called
/// through a handle gets it in [`CallError::Rejected`]. Over HTTP and gRPC it is among the extensions of the response.
///
/// # Example
/// ```
/// use campanile::{Rejected, RejectReason};
/// # fn answer() -> tower::BoxError { Rejected::new("payments", RejectReason::Open, None).into() }
/// let error: tower::BoxError = answer();
/// let rejected = Rejected::find(error.as_ref()).expect("a rejection");
/// assert_eq!(rejected.reason(), RejectReason::Open);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    by: Arc<str>,
    reason: RejectReason,
    retry_after: Option<Duration>,
}

words! {
    /// Why a call was refused.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum RejectReason {
        /// The circuit is open: the service failed too often.
        Open = "open",
        /// The circuit is half-open and every probe is taken.
        ProbesTaken = "probes_taken",
        /// An operator forced the circuit open.
        ForcedOpen = "forced_open",
    }
    pub(crate) as_str;
}

impl Rejected {
    /// A rejection by the layer named `by`.
    #[must_use]
    pub fn new(by: impl Into<Arc<str>>, reason: RejectReason, retry_after: Option<Duration>) -> Self {
        Self { by: by.into(), reason, retry_after }
    }

    /// The name of the layer that refused.
    #[must_use]
    pub fn by(&self) -> &str {
        &self.by
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> RejectReason {
        self.reason
    }

    /// The time to wait before another attempt, if it is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Finds the rejection among `error` and its sources.
    #[must_use]
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        find_cause(error)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            RejectReason::Open => write!(f, "circuit `{}` is open", self.by)?,
            RejectReason::ProbesTaken => {
                write!(f, "circuit `{}` is half-open and every probe is taken", self.by)?
            }
            RejectReason::ForcedOpen => write!(f, "circuit `{}` was forced open by an operator", self.by)?,
        }
        match self.retry_after {
            Some(wait) => write!(f, "; try again in {:.1} s", wait.as_secs_f64()),
            None => Ok(()),
        }
    }
}

impl Error for Rejected {}

/// The error of a call that a time limit of this crate ended.
///
/// In a stack of plain services it is inside a [`tower::BoxError`]. A function that was called through a handle gets it in
/// [`CallError::TimedOut`]. Over HTTP and gRPC it is among the extensions of the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedOut {
    limit: Duration,
    /// What took too long.
    what: &'static str,
    /// The setting that limits it.
    setting: &'static str,
    /// The name of the retry, if one ended the call.
    retry: Option<Arc<str>>,
}

impl TimedOut {
    pub(crate) fn new(what: &'static str, setting: &'static str, limit: Duration) -> Self {
        Self { limit, what, setting, retry: None }
    }

    /// Names the retry that ended the call.
    pub(crate) fn by_retry(self, name: &Arc<str>) -> Self {
        Self { retry: Some(Arc::clone(name)), ..self }
    }

    /// The time limit.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.limit
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if let Some(retry) = &self.retry {
            write!(f, " of retry `{retry}`")?;
        }
        write!(f, " timed out after {:?} (`{}`)", self.limit, self.setting)
    }
}

impl Error for TimedOut {}

/// The error of a function that was called through a handle, by `call` of a circuit breaker or `run` of a retry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError<E> {
    /// The function was not called, because the layer refused the call.
    Rejected(Rejected),
    /// The call reached a time limit of the handle.
    TimedOut(TimedOut),
    /// The function returned this error.
    Inner(E),
}

impl<E> CallError<E> {
    /// Whether the function was not called.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }

    /// Whether the call reached a time limit of the handle.
    #[must_use]
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut(_))
    }
}

#[cfg(feature = "worker")]
impl<E> CallError<CallError<E>> {
    /// The error of a call through two handles, one within the other.
    pub(crate) fn flatten(self) -> CallError<E> {
        match self {
            Self::Rejected(rejected) => CallError::Rejected(rejected),
            Self::TimedOut(timed_out) => CallError::TimedOut(timed_out),
            Self::Inner(error) => error,
        }
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::TimedOut(timed_out) => timed_out.fmt(f),
            Self::Inner(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for CallError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            Self::TimedOut(timed_out) => Some(timed_out),
            Self::Inner(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_circuit_and_when_to_try_again() {
        let rejected = Rejected::new("payments", RejectReason::Open, Some(Duration::from_millis(2_300)));
        assert_eq!(rejected.to_string(), "circuit `payments` is open; try again in 2.3 s");
    }

    #[test]
    fn messages_name_the_retry_that_timed_out_and_its_setting() {
        let timed_out = TimedOut::new("an attempt", "attempt_timeout", Duration::from_secs(1));
        assert_eq!(timed_out.to_string(), "an attempt timed out after 1s (`attempt_timeout`)");
        assert_eq!(
            timed_out.by_retry(&"payments".into()).to_string(),
            "an attempt of retry `payments` timed out after 1s (`attempt_timeout`)"
        );
    }

    #[test]
    fn a_cause_is_found_through_boxes_and_sources() {
        let rejected = Rejected::new("a", RejectReason::ProbesTaken, None);
        let boxed: tower::BoxError = Box::new(CallError::Inner(rejected.clone()));
        assert_eq!(Rejected::find(boxed.as_ref()), Some(&rejected));
    }
}

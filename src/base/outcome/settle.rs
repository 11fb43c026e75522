//! The observer of one call from its start to its end.

#[cfg(feature = "http")]
use std::time::Duration;

use super::classify::Outcome;

/// Observes one call. If it is dropped without an outcome, the call was cancelled or panicked.
#[doc(hidden)]
pub trait Settle {
    /// The call has ended with this outcome. Called once.
    fn settle(&mut self, outcome: Outcome);

    /// User code is about to run (`true`) or has returned (`false`). A drop in between is a panic.
    fn in_user_code(&mut self, running: bool);

    /// The call was polled and is pending.
    fn pending(&mut self) {}

    /// The head of the response is about to be passed to the caller.
    #[cfg(feature = "http")]
    fn head(&mut self, head: &mut http::response::Parts) {
        let _ = head;
    }

    /// The response was read to its end, with these trailers. Its outcome follows.
    #[cfg(feature = "http")]
    fn end(&mut self, trailers: Option<&http::HeaderMap>) {
        let _ = trailers;
    }

    /// The silence after which a stream has stalled while its reader waits; `None` if that is not a failure.
    #[cfg(feature = "http")]
    fn stall_limit(&self) -> Option<Duration> {
        None
    }
}

/// An observer that can be taken, to pass it to the next stage of the call.
#[cfg(feature = "http")]
impl<O: Settle> Settle for Option<O> {
    #[inline]
    fn settle(&mut self, outcome: Outcome) {
        if let Some(observer) = self {
            observer.settle(outcome);
        }
    }

    #[inline]
    fn in_user_code(&mut self, running: bool) {
        if let Some(observer) = self {
            observer.in_user_code(running);
        }
    }

    #[inline]
    fn pending(&mut self) {
        if let Some(observer) = self {
            observer.pending();
        }
    }

    fn stall_limit(&self) -> Option<Duration> {
        self.as_ref()?.stall_limit()
    }
}

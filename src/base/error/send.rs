//! The error of a call through reqwest.

use std::error::Error;
use std::fmt;

use super::chain::causes;

/// The error of an attempt to send a request, and whether a server has answered it with a redirect before.
///
/// It has the text, the `Debug` text and the source of the error in it. `E` is [`reqwest::Error`], or that of
/// `reqwest-middleware`.
pub(crate) struct SendError<E> {
    pub(crate) error: E,
    /// Whether a server has answered with a redirect that turns the request into another.
    pub(crate) redirected: bool,
}

/// Whether `error` ended a request that a server has answered with a redirect.
pub(crate) fn was_redirected(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|error| {
        #[cfg(feature = "reqwest-middleware")]
        if let Some(error) = error.downcast_ref::<SendError<reqwest_middleware::Error>>() {
            return error.redirected;
        }
        error.downcast_ref::<SendError<reqwest::Error>>().is_some_and(|error| error.redirected)
    })
}

/// The error of reqwest that `error` is, or that it only passes on.
pub(crate) fn reqwest_in<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a reqwest::Error> {
    if let Some(error) = error.downcast_ref::<SendError<reqwest::Error>>() {
        return Some(&error.error);
    }
    #[cfg(feature = "reqwest-middleware")]
    {
        let sent = error.downcast_ref::<SendError<reqwest_middleware::Error>>().map(|error| &error.error);
        // Its source is that of the error in it, and not that error.
        if let Some(reqwest_middleware::Error::Reqwest(error)) = sent.or_else(|| error.downcast_ref()) {
            return Some(error);
        }
    }
    error.downcast_ref()
}

impl<E: fmt::Display> fmt::Display for SendError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E: fmt::Debug> fmt::Debug for SendError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E: Error> Error for SendError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

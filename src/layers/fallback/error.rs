//! The errors of a call whose fallback failed too.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tower::BoxError;

/// The failure of a fallback. Over HTTP and gRPC it is among the extensions of the first response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackFailed {
    by: Arc<str>,
    text: String,
}

impl FallbackFailed {
    pub(super) fn new(by: &Arc<str>, text: String) -> Self {
        Self { by: Arc::clone(by), text }
    }

    /// The name of the fallback.
    #[must_use]
    pub fn by(&self) -> &str {
        &self.by
    }

    /// The text of its error and of its causes, at most about 1,024 bytes.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for FallbackFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fallback `{}` failed too: {}", self.by, self.text)
    }
}

impl Error for FallbackFailed {}

/// The error of [`Fallback::call_or`](crate::Fallback::call_or): the error of the first try, and why no fallback answered.
///
/// Its text and its source are those of the first error; the failure of the fallback stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackError<E> {
    first: E,
    failed: Option<FallbackFailed>,
}

impl<E> FallbackError<E> {
    pub(super) fn new(first: E, failed: Option<FallbackFailed>) -> Self {
        Self { first, failed }
    }

    /// The error of the first try.
    pub fn first(&self) -> &E {
        &self.first
    }

    /// The error of the first try.
    pub fn into_first(self) -> E {
        self.first
    }

    /// The failure of the fallback; `None` if the classifier says that the first error needs no fallback.
    pub fn fallback(&self) -> Option<&FallbackFailed> {
        self.failed.as_ref()
    }
}

impl<E: fmt::Display> fmt::Display for FallbackError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        match &self.failed {
            Some(failed) => write!(f, "; {failed}"),
            None => Ok(()),
        }
    }
}

impl<E: Error + 'static> Error for FallbackError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.first)
    }
}

/// The same for the layers, whose first error is boxed. Its source is the first error.
#[derive(Debug)]
pub(super) struct BothFailed {
    pub(super) first: BoxError,
    pub(super) failed: FallbackFailed,
}

impl fmt::Display for BothFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.first, self.failed)
    }
}

impl Error for BothFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.first.as_ref())
    }
}

//! The errors of alternatives.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use tower::BoxError;

/// The error of [`Alternatives::call`](super::Alternatives::call).
#[derive(Debug)]
#[non_exhaustive]
pub enum AlternativesError<E> {
    /// An alternative works, and the function returned this error on it.
    Inner(E),
    /// No alternative works: each with its failure, in the order in which they were tried. There is at least one.
    NoneWorks(Vec<(Arc<str>, AlternativeFailure<E>)>),
}

/// How one alternative failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum AlternativeFailure<E> {
    /// There is no connection. After the time limit it holds a [`TimedOut`](crate::TimedOut).
    Connect(BoxError),
    /// The function failed on a connection.
    Call(E),
}

impl<E> AlternativesError<E> {
    /// Returns the error of the function, if an alternative works.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner(error) => Some(error),
            Self::NoneWorks(_) => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for AlternativeFailure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "no connection: {error}"),
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for AlternativeFailure<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Connect(error) => Some(error.as_ref()),
            Self::Call(error) => Some(error),
        }
    }
}

impl<E: fmt::Display> fmt::Display for AlternativesError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(error) => error.fmt(f),
            Self::NoneWorks(failures) => {
                f.write_str("no alternative works: ")?;
                for (place, (name, failure)) in failures.iter().enumerate() {
                    let separator = if place == 0 { "" } else { "; " };
                    write!(f, "{separator}`{name}`: {failure}")?;
                }
                Ok(())
            }
        }
    }
}

impl<E: Error + 'static> Error for AlternativesError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Inner(error) => Some(error),
            Self::NoneWorks(failures) => failures.first().map(|(_, first)| first as &(dyn Error + 'static)),
        }
    }
}

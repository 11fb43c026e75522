//! The causes of an error.
//!
//! `source` is code of other crates: it may panic, or form a ring.

use std::error::Error;
use std::io;
use std::iter;
use std::sync::Arc;

use crate::base::panics::catch;

/// The maximum number of causes that are visited, because a chain can be a ring.
const MAX_CAUSES: usize = 128;

/// The source of `error`; `None` if its code panics.
pub(crate) fn source<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    catch(|| error.source()).ok().flatten()
}

/// `error` and its sources, outermost first.
pub(crate) fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| source(error)).take(MAX_CAUSES)
}

/// [`sources`], and the errors inside an [`io::Error`] or an [`Arc`], which are not their sources. An inner error has the
/// same text as the outer one, so use this to find an error by its type and not to print the chain.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| inside(error).or_else(|| source(error))).take(MAX_CAUSES)
}

/// The error inside an [`io::Error`] or an [`Arc`].
pub(crate) fn inside<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(io) = error.downcast_ref::<io::Error>() {
        return io.get_ref().map(|error| error as &(dyn Error + 'static));
    }
    if let Some(shared) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
        return Some(shared.as_ref());
    }
    error.downcast_ref::<Arc<io::Error>>().map(|shared| shared.as_ref() as &(dyn Error + 'static))
}

/// The first `T` among the [`causes`] of `error`.
pub(crate) fn find_cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|error| error.downcast_ref::<T>())
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;
    use crate::TimedOut;

    #[derive(Debug)]
    enum Odd {
        Ring,
        Panics,
    }

    impl fmt::Display for Odd {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("odd")
        }
    }

    impl Error for Odd {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            match self {
                Self::Ring => Some(self),
                Self::Panics => panic!("on purpose"),
            }
        }
    }

    #[test]
    fn p21_a_chain_has_an_end() {
        assert_eq!(sources(&Odd::Ring).count(), MAX_CAUSES);
        assert_eq!(causes(&Odd::Ring).count(), MAX_CAUSES);
        assert_eq!(sources(&Odd::Panics).count(), 1);
        assert!(find_cause::<io::Error>(&Odd::Panics).is_none());
    }

    #[test]
    fn errors_inside_others_are_among_the_causes() {
        let timed_out = || TimedOut::new("call", "timeout", std::time::Duration::from_secs(1));
        let wrapped = io::Error::other(io::Error::other(timed_out()));
        assert!(find_cause::<TimedOut>(&wrapped).is_some());
        assert!(find_cause::<TimedOut>(&Arc::new(wrapped)).is_some());
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(timed_out());
        assert!(find_cause::<TimedOut>(&io::Error::other(shared)).is_some());
        assert_eq!(sources(&io::Error::other(timed_out())).count(), 1, "its text is printed once");
    }
}

//! What an error, a response or a panic says, in words that are kept.

use std::error::Error;

use crate::base::cut::cut;
use crate::base::error::sources;
#[cfg(feature = "grpc")]
use crate::base::outcome::GRPC_CODES;
use crate::base::outcome::{name_of, shown};

/// Causes that are kept: a chain can be a ring.
const CAUSES: usize = 16;

/// Bytes of a message that are read: an error may quote a whole document. A quarter more than is kept of it, so that
/// a secret at the end of that is seen whole, and taken out.
const LONGEST: usize = MESSAGE + MESSAGE / 4;

/// Bytes of a message that are kept.
pub(crate) const MESSAGE: usize = 4 * 1024;

/// The name of an error whose type cannot be told.
const UNKNOWN: &str = "error";

/// An error in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Its type, as far as that can be told.
    pub(crate) error_type: String,
    pub(crate) message: String,
    /// What its causes said, outermost first.
    pub(crate) causes: Vec<String>,
}

impl Said {
    pub(crate) fn new(error_type: impl Into<String>, message: &str) -> Self {
        Self { error_type: error_type.into(), message: cut(message, LONGEST).to_owned(), causes: Vec::new() }
    }

    /// By a response that a classifier took for a failure.
    pub(crate) fn answer() -> Self {
        Self::new("response", "the response was classified as a failure")
    }

    /// By the type of an error and nothing else.
    pub(crate) fn by_name<E>() -> Self {
        Self::new(short_name(std::any::type_name::<E>()), "")
    }

    /// By an error and its causes.
    pub(crate) fn by_error(error: &(dyn Error + 'static)) -> Self {
        let name = name_of(error).unwrap_or_else(|| UNKNOWN.to_owned());
        let mut said = Self::new(name, &shown(error, LONGEST));
        said.causes = sources(error).skip(1).take(CAUSES).map(|cause| shown(cause, LONGEST)).collect();
        said
    }
}

/// A type's name without the paths of modules.
fn short_name(full: &str) -> &str {
    let end = full.find('<').unwrap_or(full.len());
    let start = full[..end].rfind("::").map_or(0, |place| place + 2);
    &full[start..end]
}

#[cfg(feature = "http")]
mod http {
    use http::{Extensions, HeaderMap, StatusCode};

    use super::Said;
    use crate::base::error::{Rejected, TimedOut};

    impl Said {
        /// By the head of a response that is a failure.
        pub(crate) fn by_head(status: StatusCode, headers: &HeaderMap, extensions: &Extensions) -> Self {
            if let Some(rejected) = extensions.get::<Rejected>() {
                return Self::new("Rejected", &rejected.to_string());
            }
            #[cfg(feature = "grpc")]
            if let Some(said) = Self::by_grpc(headers) {
                return said;
            }
            let _ = headers;
            match extensions.get::<TimedOut>() {
                Some(timed_out) => Self::new(status.as_str(), &timed_out.to_string()),
                None => Self::new(status.as_str(), &status.to_string()),
            }
        }

        /// By the status of a gRPC call, where these headers or trailers have one.
        #[cfg(feature = "grpc")]
        pub(crate) fn by_grpc(headers: &HeaderMap) -> Option<Self> {
            let code = crate::base::outcome::code_in(headers)?;
            let name = usize::try_from(code).ok().and_then(|code| super::GRPC_CODES.get(code).copied());
            let message = headers.get("grpc-message").and_then(|message| message.to_str().ok());
            let decoded = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
            let message = message.map(decoded);
            let name = name.map_or_else(|| code.to_string(), str::to_owned);
            let message = message.filter(|text| !text.is_empty()).unwrap_or_else(|| name.clone());
            Some(Self::new(name, &message))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::io;
    use std::sync::Arc;

    use super::*;
    use tower::BoxError;

    fn said(error: impl Into<BoxError>) -> Said {
        Said::by_error(error.into().as_ref())
    }

    #[test]
    fn an_error_tells_its_type_and_its_causes() {
        let io = || io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        let error = said(crate::base::error::CallError::Inner(io()));
        assert_eq!((error.error_type.as_str(), error.message.as_str()), ("Inner", "refused"));
        assert_eq!(error.causes, ["refused"]);
        assert_eq!(said("plain").error_type, UNKNOWN);
        assert_eq!(said(Arc::new(io())).error_type, "io::ConnectionRefused");
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(io());
        assert_eq!(said(shared).error_type, "io::ConnectionRefused");
    }

    /// Does its worst.
    #[derive(Clone, Copy)]
    enum Worst {
        Panics,
        Fails,
        NeverEnds,
        Ring,
    }

    impl fmt::Display for Worst {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self {
                Self::Panics => panic!("on purpose"),
                Self::Fails => f.write_str("so far").and(Err(fmt::Error)),
                Self::NeverEnds => loop {
                    f.write_str("é and on ")?;
                },
                Self::Ring => f.write_str("ring"),
            }
        }
    }

    impl fmt::Debug for Worst {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Display::fmt(self, f)
        }
    }

    impl Error for Worst {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            match self {
                Self::Panics => panic!("on purpose"),
                Self::Ring => Some(self),
                _ => None,
            }
        }
    }

    #[test]
    fn p21_an_error_that_misbehaves_is_told_as_well_as_it_can_be() {
        assert_eq!(said(Worst::Panics), Said::new(UNKNOWN, "its Display panicked"));
        assert_eq!(said(Worst::Fails).message, "so far");
        let endless = said(Worst::NeverEnds);
        assert!((LONGEST - 1..=LONGEST).contains(&endless.message.len()), "{}", endless.message.len());
        assert_eq!(said(Worst::Ring).causes, vec!["ring"; CAUSES]);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let said = Said::new("E", &format!("a{}", "é".repeat(5_000)));
        assert_eq!(said.message.len(), LONGEST - 1);
        assert!(said.message.ends_with('é'));
    }
}

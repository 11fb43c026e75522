//! The text of an error, a response or a panic, bounded in length.

use std::error::Error;

use crate::base::cut::cut;
use crate::base::error::sources;
#[cfg(feature = "grpc")]
use crate::base::outcome::GRPC_CODES;
use crate::base::outcome::{name_of, shown};

/// Maximum number of kept causes: a chain can be a ring.
const CAUSES: usize = 16;

/// Maximum bytes of a message that are read, because an error may quote a whole document. It is a quarter more than
/// [`MESSAGE`], so that a secret that crosses that limit is still recognised and removed.
const LONGEST: usize = MESSAGE + MESSAGE / 4;

/// Maximum bytes of a message that are kept.
pub(crate) const MESSAGE: usize = 4 * 1024;

/// The name of an error of unknown type.
const UNKNOWN: &str = "error";

/// An error as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorText {
    /// The type of the error, or [`UNKNOWN`].
    pub(crate) error_type: String,
    pub(crate) message: String,
    /// The messages of its causes, outermost first.
    pub(crate) causes: Vec<String>,
}

impl ErrorText {
    pub(crate) fn new(error_type: impl Into<String>, message: &str) -> Self {
        Self { error_type: error_type.into(), message: cut(message, LONGEST).to_owned(), causes: Vec::new() }
    }

    /// The text for a response that was classified as a failure.
    pub(crate) fn of_response() -> Self {
        Self::new("response", "the response was classified as a failure")
    }

    /// The type of an error, without a message.
    pub(crate) fn of_type<E>() -> Self {
        Self::new(short_name(std::any::type_name::<E>()), "")
    }

    /// The text of an error and its causes.
    pub(crate) fn of_error(error: &(dyn Error + 'static)) -> Self {
        let name = name_of(error).unwrap_or_else(|| UNKNOWN.to_owned());
        let mut text = Self::new(name, &shown(error, LONGEST));
        text.causes = sources(error).skip(1).take(CAUSES).map(|cause| shown(cause, LONGEST)).collect();
        text
    }
}

/// The name of a type without the paths of modules.
fn short_name(full: &str) -> &str {
    let end = full.find('<').unwrap_or(full.len());
    let start = full[..end].rfind("::").map_or(0, |place| place + 2);
    &full[start..end]
}

#[cfg(feature = "http")]
mod http {
    use http::{Extensions, HeaderMap, StatusCode};

    use super::ErrorText;
    use crate::base::error::{Rejected, TimedOut};

    impl ErrorText {
        /// The text for the head of a response that is a failure.
        pub(crate) fn of_head(status: StatusCode, headers: &HeaderMap, extensions: &Extensions) -> Self {
            if let Some(rejected) = extensions.get::<Rejected>() {
                return Self::new("Rejected", &rejected.to_string());
            }
            #[cfg(feature = "grpc")]
            if let Some(text) = Self::of_grpc(headers) {
                return text;
            }
            let _ = headers;
            match extensions.get::<TimedOut>() {
                Some(timed_out) => Self::new(status.as_str(), &timed_out.to_string()),
                None => Self::new(status.as_str(), &status.to_string()),
            }
        }

        /// The text for a gRPC status; `None` if these headers or trailers have none.
        #[cfg(feature = "grpc")]
        pub(crate) fn of_grpc(headers: &HeaderMap) -> Option<Self> {
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

    fn text_of(error: impl Into<BoxError>) -> ErrorText {
        ErrorText::of_error(error.into().as_ref())
    }

    #[test]
    fn the_text_of_an_error_has_its_type_and_causes() {
        let io = || io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        let error = text_of(crate::base::error::CallError::Inner(io()));
        assert_eq!((error.error_type.as_str(), error.message.as_str()), ("Inner", "refused"));
        assert_eq!(error.causes, ["refused"]);
        assert_eq!(text_of("plain").error_type, UNKNOWN);
        assert_eq!(text_of(Arc::new(io())).error_type, "io::ConnectionRefused");
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(io());
        assert_eq!(text_of(shared).error_type, "io::ConnectionRefused");
    }

    /// An error that misbehaves.
    #[derive(Clone, Copy)]
    enum BadError {
        Panics,
        Fails,
        NeverEnds,
        Ring,
    }

    impl fmt::Display for BadError {
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

    impl fmt::Debug for BadError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            fmt::Display::fmt(self, f)
        }
    }

    impl Error for BadError {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            match self {
                Self::Panics => panic!("on purpose"),
                Self::Ring => Some(self),
                _ => None,
            }
        }
    }

    #[test]
    fn p21_the_text_of_an_error_that_misbehaves_is_bounded() {
        assert_eq!(text_of(BadError::Panics), ErrorText::new(UNKNOWN, "its Display panicked"));
        assert_eq!(text_of(BadError::Fails).message, "so far");
        let endless = text_of(BadError::NeverEnds);
        assert!((LONGEST - 1..=LONGEST).contains(&endless.message.len()), "{}", endless.message.len());
        assert_eq!(text_of(BadError::Ring).causes, vec!["ring"; CAUSES]);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let text = ErrorText::new("E", &format!("a{}", "é".repeat(5_000)));
        assert_eq!(text.message.len(), LONGEST - 1);
        assert!(text.message.ends_with('é'));
    }
}

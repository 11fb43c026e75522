//! What an error says, whatever its code does.
//!
//! Its `Display`, `Debug` and `source` are code of others: they may panic, go on without end, or lead in a ring.
//! Whoever asks here is owed a result of its own, so it gets what could be had.

use std::error::Error;
use std::fmt::{self, Write};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::cut::cut;
use crate::error::as_error;
use crate::outcome::GRPC_CODES;

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

    /// A text that somebody gave for an error.
    pub(crate) fn text(text: &str) -> Self {
        Self::new(UNKNOWN, text)
    }

    /// By a response that a classifier took for a failure.
    pub(crate) fn answer() -> Self {
        Self::new("response", "the response was classified as a failure")
    }

    /// By the type of an error and nothing else.
    pub(crate) fn by_name<E>() -> Self {
        Self::new(short_name(std::any::type_name::<E>()), "")
    }

    /// By an error whose causes can be asked for.
    pub(crate) fn by_error(error: &(dyn Error + 'static)) -> Self {
        let mut said = Self::new(type_of(error), &shown(error));
        let mut cause = source(error);
        while let Some(error) = cause
            && said.causes.len() < CAUSES
        {
            said.causes.push(shown(error));
            cause = source(error);
        }
        said
    }

    /// By an error of any type that can be shown.
    pub(crate) fn by_any<E: fmt::Display + 'static>(error: &E) -> Self {
        match as_error(error) {
            Some(error) => Self::by_error(error),
            None => Self::new(short_name(std::any::type_name::<E>()), &shown(error)),
        }
    }

    /// By an error of which nothing is known but its type.
    pub(crate) fn by_type<E: 'static>(error: &E) -> Self {
        let any: &dyn std::any::Any = error;
        match (as_error(error), any.downcast_ref::<String>(), any.downcast_ref::<&'static str>()) {
            (Some(error), ..) => Self::by_error(error),
            (None, Some(text), _) => Self::text(text),
            (None, None, Some(text)) => Self::text(text),
            (None, None, None) => Self::by_name::<E>(),
        }
    }
}

/// The text of `value`, as much of it as is kept.
pub(crate) fn shown(value: &(impl fmt::Display + ?Sized)) -> String {
    written(LONGEST, |out| write!(out, "{value}")).unwrap_or_else(|| "its Display panicked".to_owned())
}

/// What `write` writes, up to `limit` bytes; none when it panics.
fn written(limit: usize, write: impl FnOnce(&mut Bounded) -> fmt::Result) -> Option<String> {
    let mut out = Bounded { text: String::new(), limit };
    // An error is the end of what is kept, or the writer's own; what came before it is good.
    catch_unwind(AssertUnwindSafe(|| write(&mut out).is_ok())).ok()?;
    Some(out.text)
}

/// Takes so much, and ends the writer there: it may have no end.
struct Bounded {
    text: String,
    limit: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.limit - self.text.len();
        let taken = cut(text, room);
        self.text.push_str(taken);
        if taken.len() < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

fn source<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    catch_unwind(AssertUnwindSafe(|| error.source())).ok().flatten()
}

/// The name of an error's type. A trait object does not tell it, but what `derive(Debug)` writes begins with it.
fn type_of(error: &(dyn Error + 'static)) -> String {
    if let Some(shared) = error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
        return type_of(shared.as_ref());
    }
    let io = error.downcast_ref::<io::Error>();
    if let Some(io) = io.or_else(|| error.downcast_ref::<Arc<io::Error>>().map(AsRef::as_ref)) {
        return format!("io::{:?}", io.kind());
    }
    let Some(debug) = written(256, |out| write!(out, "{error:?}")) else {
        return UNKNOWN.to_owned();
    };
    if let Some(code) = code_of_status(&debug) {
        return code.to_owned();
    }
    let end = debug.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':'))).unwrap_or(debug.len());
    let (name, rest) = debug.split_at(end);
    // What somebody wrote by hand is rather a sentence.
    let is_derived = rest.is_empty() || rest.starts_with('(') || rest.starts_with(" {");
    let last = name.rsplit("::").next().unwrap_or(name);
    if is_derived && last.starts_with(char::is_uppercase) { name.to_owned() } else { UNKNOWN.to_owned() }
}

/// The code of a gRPC status, which is its type as OpenTelemetry has it: `Status { code: Unavailable, … }`.
fn code_of_status(debug: &str) -> Option<&'static str> {
    let code = debug.strip_prefix("Status { code: ")?.split([',', ' ']).next()?;
    let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
    GRPC_CODES.into_iter().find(|name| plain(name) == plain(code))
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
    use crate::error::{Rejected, TimedOut};

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
            let code = crate::outcome::code_in(headers)?;
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
    use super::*;
    use tower::BoxError;

    fn said(error: impl Into<BoxError>) -> Said {
        Said::by_any::<BoxError>(&error.into())
    }

    #[test]
    fn an_error_tells_its_type_and_its_causes() {
        let io = || io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        let error = said(crate::error::CallError::Inner(io()));
        assert_eq!((error.error_type.as_str(), error.message.as_str()), ("Inner", "refused"));
        assert_eq!(error.causes, ["refused"]);
        assert_eq!(said("plain").error_type, UNKNOWN);
        assert_eq!(said(Arc::new(io())).error_type, "io::ConnectionRefused");
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(io());
        assert_eq!(said(shared).error_type, "io::ConnectionRefused");
        assert_eq!(Said::by_type(&"text"), Said::new(UNKNOWN, "text"));
        assert_eq!(Said::by_type(&7_u8), Said::new("u8", ""));
    }

    /// Writes `debug`, and as `Display` the same.
    struct Written(&'static str);

    impl fmt::Debug for Written {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl fmt::Display for Written {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Written {}

    #[test]
    fn a_type_is_told_by_what_is_derived_and_not_by_a_sentence() {
        for (debug, name) in [
            ("Elapsed(())", "Elapsed"),
            ("NotFound", "NotFound"),
            ("Broken { at: 7 }", "Broken"),
            ("hyper::Error(IncompleteMessage)", "hyper::Error"),
            ("Status { code: Unavailable, message: \"gone\" }", "UNAVAILABLE"),
            ("Status { code: DeadlineExceeded }", "DEADLINE_EXCEEDED"),
            ("Order 7 was refused\n\nCaused by:\n    0: no", UNKNOWN),
            ("no connection", UNKNOWN),
            ("hyper::error(X)", UNKNOWN),
            ("", UNKNOWN),
        ] {
            assert_eq!(said(Written(debug)).error_type, name, "{debug}");
        }
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

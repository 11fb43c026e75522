//! The texts of errors.
//!
//! `Display` and `Debug` of an error are code of other crates: they may panic, or write without end. The texts are
//! bounded, and a panic is caught.

use std::error::Error;
use std::fmt::{self, Write};
use std::io;

use super::codes::GRPC_CODES;
use crate::base::cut::cut;
use crate::base::error::{inside, sources};
use crate::base::panics::catch;

/// The text of `value`, at most `limit` bytes.
pub(crate) fn shown(value: &(impl fmt::Display + ?Sized), limit: usize) -> String {
    written(limit, |out| write!(out, "{value}")).unwrap_or_else(|| "its Display panicked".to_owned())
}

/// An error and its causes in one text, separated by colons, of about `limit` bytes. A cause is left out if the text so far
/// contains its text, because many errors repeat the text of their cause.
pub(crate) fn line(error: &(dyn Error + 'static), limit: usize) -> String {
    let mut text = String::new();
    for error in sources(error) {
        let words = shown(error, limit);
        if text.is_empty() {
            text = words;
        } else if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        if text.len() > limit {
            break;
        }
    }
    text
}

/// The text that `write` writes, at most `limit` bytes; `None` if it panics.
fn written(limit: usize, write: impl FnOnce(&mut Bounded) -> fmt::Result) -> Option<String> {
    let mut out = Bounded { text: String::new(), limit };
    // An error means that the limit was reached or that `write` failed. The text so far is used.
    catch(|| write(&mut out).is_ok()).ok()?;
    Some(out.text)
}

/// A text of at most `limit` bytes. Writes fail when it is full, which stops an endless `Display`.
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

/// How many bytes of a `Debug` text are searched for a name.
const LONGEST_NAME: usize = 128;

/// The name of the type of an error, or of its variant, if it can be found. A trait object does not have it, but the
/// text of a derived `Debug` begins with it.
pub(crate) fn name_of(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(io) = error.downcast_ref::<io::Error>() {
        return Some(format!("io::{:?}", io.kind()));
    }
    if let Some(shared) = inside(error) {
        return name_of(shared);
    }
    let debug = written(LONGEST_NAME, |out| write!(out, "{error:?}"))?;
    let code = code_of_status(&debug).map(str::to_owned);
    code.or_else(|| derived_name(&debug).map(str::to_owned))
}

/// The name with which a derived `Debug` begins. A hand-written `Debug` is usually a sentence.
pub(super) fn derived_name(debug: &str) -> Option<&str> {
    let end = debug.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':'))).unwrap_or(debug.len());
    let (name, rest) = debug.split_at(end);
    let is_derived = rest.is_empty() || rest.starts_with('(') || rest.starts_with(" {");
    let last = name.rsplit("::").next().unwrap_or(name);
    (is_derived && last.starts_with(char::is_uppercase)).then_some(name)
}

/// The code of a gRPC status, from `Status { code: Unavailable, … }`. It is the error type by the OpenTelemetry conventions.
fn code_of_status(debug: &str) -> Option<&'static str> {
    let code = debug.strip_prefix("Status { code: ")?.split([',', ' ']).next()?;
    let plain = |name: &str| name.replace('_', "").to_ascii_lowercase();
    GRPC_CODES.into_iter().find(|name| plain(name) == plain(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `debug` for `Debug` and for `Display`.
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
    fn a_name_is_found_in_a_derived_debug_and_not_in_a_sentence() {
        for (debug, name) in [
            ("Elapsed(())", "Elapsed"),
            ("NotFound", "NotFound"),
            ("Broken { at: 7 }", "Broken"),
            ("hyper::Error(IncompleteMessage)", "hyper::Error"),
            ("Status { code: Unavailable, message: \"gone\" }", "UNAVAILABLE"),
            ("Status { code: DeadlineExceeded }", "DEADLINE_EXCEEDED"),
            ("Order 7 was refused\n\nCaused by:\n    0: no", ""),
            ("no connection", ""),
            ("hyper::error(X)", ""),
            ("", ""),
        ] {
            assert_eq!(name_of(&Written(debug)).unwrap_or_default(), name, "{debug}");
        }
    }

    #[test]
    fn causes_are_in_one_line_and_not_repeated() {
        let outer = io::Error::other(io::Error::other("the disk is full"));
        assert_eq!(line(&outer, 100), "the disk is full");
        let error = crate::CallError::Inner(io::Error::other("gone"));
        assert_eq!(line(&error, 100), "gone");
    }
}

//! What an error tells.

use std::any::Any;
use std::error::Error;

use crate::error::{Rejected, as_error};
use crate::outcome::FailureKind;
use crate::store::Fingerprint;

/// Causes that are kept: a chain can be a ring.
const CAUSES: usize = 16;

/// Bytes of a message that are kept: an error may quote a whole document.
const MESSAGE: usize = 4 * 1024;

/// How a call failed, in words.
#[derive(Clone, Debug)]
pub struct Failure {
    pub(super) kind: FailureKind,
    pub(super) error_type: String,
    pub(super) message: String,
    pub(super) causes: Vec<String>,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, error_type: impl Into<String>, message: &str) -> Self {
        Self { kind, error_type: error_type.into(), message: cut(message), causes: Vec::new() }
    }

    /// From an error whose causes can be asked for.
    pub(super) fn of_error(kind: FailureKind, error: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::new(kind, type_of(error), &error.to_string());
        let mut cause = error.source();
        while let Some(error) = cause
            && failure.causes.len() < CAUSES
        {
            failure.causes.push(cut(&error.to_string()));
            cause = error.source();
        }
        failure
    }

    /// From an error of any type.
    #[cfg_attr(not(feature = "http"), allow(dead_code))]
    pub(super) fn of_any<E: std::fmt::Display + 'static>(kind: FailureKind, error: &E) -> Self {
        match as_error(error) {
            Some(error) => Self::of_error(kind, error),
            None => Self::new(kind, short_name(std::any::type_name::<E>()), &error.to_string()),
        }
    }

    /// From what a panic carried.
    pub(super) fn of_panic(payload: &(dyn Any + Send)) -> Self {
        let said = payload
            .downcast_ref::<&'static str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self::new(FailureKind::Panic, "panic", said.unwrap_or("the service panicked"))
    }

    /// From a response that a classifier took for a failure.
    pub(super) fn of_response(kind: FailureKind) -> Self {
        Self::new(kind, "response", "the response was classified as a failure")
    }

    /// From a refusal by a layer further down.
    #[cfg_attr(not(feature = "http"), allow(dead_code))]
    pub(super) fn of_rejection(rejected: &Rejected) -> Self {
        Self::new(FailureKind::Rejected, "Rejected", &rejected.to_string())
    }

    /// The same for every failure of this cause.
    pub(super) fn fingerprint(&self, component: &str) -> Fingerprint {
        let message = generalised(&self.message);
        let root = self.causes.last().map(|cause| generalised(cause)).unwrap_or_default();
        Fingerprint::of([component, self.kind.as_str(), &self.error_type, &message, &root])
    }
}

/// The name of an error's type. A trait object does not tell it, but what `derive(Debug)` writes begins with it.
fn type_of(error: &(dyn Error + 'static)) -> String {
    if let Some(io) = error.downcast_ref::<std::io::Error>() {
        return format!("io::{:?}", io.kind());
    }
    let debug = cut(&format!("{error:?}"));
    let name: String = debug.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
    if name.starts_with(char::is_uppercase) { name } else { "error".to_owned() }
}

/// A type's name without the paths of modules.
#[cfg_attr(not(feature = "http"), allow(dead_code))]
fn short_name(full: &str) -> &str {
    let end = full.find('<').unwrap_or(full.len());
    let start = full[..end].rfind("::").map_or(0, |place| place + 2);
    &full[start..end]
}

/// A message without what differs from one time to the next: every word with a digit in it.
fn generalised(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut word = String::new();
    let flush = |word: &mut String, out: &mut String| {
        out.push_str(if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word });
        word.clear();
    };
    for c in message.chars() {
        if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') {
            word.push(c);
        } else {
            flush(&mut word, &mut out);
            out.push(c);
        }
    }
    flush(&mut word, &mut out);
    out
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(MESSAGE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower::BoxError;

    fn failure(message: &str) -> Failure {
        Failure::new(FailureKind::Error, "E", message)
    }

    #[test]
    fn a_fingerprint_leaves_numbers_and_ids_out() {
        let print = |message| failure(message).fingerprint("payments");
        assert_eq!(
            print("order 0f8a-17 failed after 31.5 ms at 10.0.0.7:8080"),
            print("order 1b2c-99 failed after 2 ms at 10.0.0.8:443")
        );
        assert_ne!(print("order 7 failed"), print("order 7 timed out"));
        assert_ne!(failure("x").fingerprint("a"), failure("x").fingerprint("b"));
    }

    #[test]
    fn an_error_tells_its_type_and_its_causes() {
        let io = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "refused");
        let error: BoxError = crate::error::CallError::Inner(io).into();
        let failure = Failure::of_any(FailureKind::Error, &error);
        assert_eq!((failure.error_type.as_str(), failure.message.as_str()), ("Inner", "refused"));
        assert_eq!(failure.causes, ["refused"]);
        let text: BoxError = "plain".into();
        assert_eq!(Failure::of_any(FailureKind::Error, &text).error_type, "error");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let failure = failure(&"é".repeat(5_000));
        assert_eq!(failure.message.len(), MESSAGE);
        assert!(failure.message.ends_with('é'));
    }
}

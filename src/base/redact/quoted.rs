//! Texts next to the name of a secret without a sign between them: `("password", "…")`, `Password("…")`, `PASSWORD '…'`.

use std::ops::Range;

use super::bytes::{is_name, is_quote};
use super::harmless::{is_nothing, is_placeholder, is_sentence};
use super::rule::Rule;
use super::search::Search;
use super::steps::{ahead, behind, find, find3};
use super::values::Context;

/// The length of the longest name.
pub(super) const BACK: usize = 128;

/// The maximum number of wrappers, as in `Some(Secret("…"))`.
const WRAPPERS: usize = 3;

impl Search<'_> {
    /// Finds tuples and lists of two texts, as in `Debug` and JSON, and newtypes.
    pub(super) fn pairs_of_two(&mut self) {
        let bytes = self.bytes;
        let mut from = 0;
        while let Some(bracket) = find3([b'(', b'[', b'['], bytes, from) {
            let before = from;
            from = bracket + 1;
            let end = match self.text_of_list(from, b",") {
                Some((name, after)) => self.pair_of_two(name, after),
                None if bytes[bracket] == b'(' => self.newtype(before, bracket),
                None => None,
            };
            from = from.max(end.unwrap_or(0));
        }
    }

    /// Hides the text after the text `name` in brackets. Returns its end.
    fn pair_of_two(&mut self, name: Range<usize>, after: usize) -> Option<usize> {
        let bytes = self.bytes;
        let rule = self.is_secret(&bytes[name.clone()])?;
        let start = ahead(bytes, after, 64, |byte| byte.is_ascii_whitespace());
        let (value, wrappers) = match self.wrapped(start) {
            Some((quote, wrappers)) => (self.value(quote, Context::Colon).place, wrappers),
            // A number. Other values without quotes are code.
            None => (start..ahead(bytes, start, BACK, |byte| byte.is_ascii_digit()), 0),
        };
        if !self.closes(value.end, wrappers) {
            return Some(value.end);
        }
        self.beside(value, rule, name)
    }

    /// The opening quote of the text at `from`, which may be wrapped, and the number of wrappers.
    pub(super) fn wrapped(&self, from: usize) -> Option<(usize, usize)> {
        let bytes = self.bytes;
        let mut at = from;
        for wrappers in 0..=WRAPPERS {
            let quote = ahead(bytes, at, 9, |byte| matches!(byte, b'\\' | b'b'));
            if bytes.get(quote).is_some_and(|byte| is_quote(*byte)) {
                return Some((if bytes[at] == b'b' { quote } else { at }, wrappers));
            }
            let name = ahead(bytes, at, 32, |byte| byte.is_ascii_alphanumeric());
            if !bytes[at..].first()?.is_ascii_uppercase() || bytes.get(name) != Some(&b'(') {
                return None;
            }
            at = ahead(bytes, name + 1, 64, |byte| byte.is_ascii_whitespace());
        }
        None
    }

    /// Whether the brackets are closed after a value that ends at `end`, or the text is truncated there.
    fn closes(&self, end: usize, wrappers: usize) -> bool {
        let bytes = self.bytes;
        let mut at = ahead(bytes, end, 16, |byte| is_quote(byte) || byte == b'\\');
        for _ in 0..=wrappers {
            at = ahead(bytes, at, 64, |byte| byte.is_ascii_whitespace() || byte == b',');
            if bytes.get(at).is_some_and(|byte| !matches!(byte, b')' | b']')) {
                return false;
            }
            at += 1;
        }
        true
    }

    /// Hides the text of a newtype with its bracket at `bracket`, as in `Password("…")`. Returns its end.
    fn newtype(&mut self, from: usize, bracket: usize) -> Option<usize> {
        let bytes = self.bytes;
        let (quote, wrappers) =
            self.wrapped(ahead(bytes, bracket + 1, 64, |byte| byte.is_ascii_whitespace()))?;
        let start = behind(bytes, bracket, BACK.min(bracket - from), |byte| byte.is_ascii_alphanumeric());
        let name = start..bracket;
        // `token("…")` is code, and `InvalidToken("…")` is an error about a token.
        let type_name = &bytes[name.clone()];
        let camel = type_name.first()?.is_ascii_uppercase() && type_name.iter().any(u8::is_ascii_lowercase);
        if !camel || ERROR_WORDS.iter().any(|word| type_name.starts_with(word)) {
            return None;
        }
        let rule = self.is_secret(type_name)?;
        let value = self.value(quote, Context::Colon).place;
        if !self.closes(value.end, wrappers) {
            return Some(value.end);
        }
        self.beside(value, rule, name)
    }

    /// A short text in quotes at `from`, with one of `signs` after it. Returns its place and the end of the sign.
    pub(super) fn text_of_list(&self, from: usize, signs: &[u8]) -> Option<(Range<usize>, usize)> {
        let bytes = self.bytes;
        let start = ahead(bytes, from, 64, |byte| byte.is_ascii_whitespace());
        let start = start + usize::from(bytes.get(start) == Some(&b'b'));
        let quote = ahead(bytes, start, 8, |byte| byte == b'\\');
        let sign = *bytes.get(quote).filter(|byte| is_quote(**byte))?;
        let end = ahead(bytes, quote + 1, BACK, |byte| is_name(byte) || byte == b' ');
        let closed = ahead(bytes, end, 8, |byte| byte == b'\\');
        let is_text = bytes.get(closed) == Some(&sign)
            && bytes.get(closed + 1).is_some_and(|byte| signs.contains(byte));
        is_text.then_some((quote + 1..end, closed + 2))
    }

    /// Finds texts in quotes after the name of a secret: `IDENTIFIED BY '…'`, `set_header Authorization "…"`.
    pub(super) fn quoted(&mut self) {
        let bytes = self.bytes;
        let mut from = 0;
        while let Some(blank) = find(b' ', bytes, from) {
            let before = from;
            from = blank + 1;
            let Some(quote) = bytes.get(from).filter(|byte| matches!(byte, b'"' | b'\'')) else { continue };
            let start = behind(bytes, blank, BACK.min(blank - before), is_name);
            let name = start..blank;
            let of_header = ends_with(&bytes[name.clone()], b"authorization");
            let strong = of_header || STRONG.iter().any(|known| ends_with(&bytes[name.clone()], known));
            let by =
                bytes[name.clone()].eq_ignore_ascii_case(b"by") && ends_with(&bytes[..start], b"identified ");
            let rule = match self.is_secret(&bytes[name.clone()]) {
                Some(rule) if strong => rule,
                _ if by => Rule::MASK,
                _ => continue,
            };
            let Some(end) = self.closing(from + 1, *quote, 0) else { continue };
            let value = from + 1..end;
            // A text with blanks is a sentence about the secret.
            if of_header || !bytes[value.clone()].iter().any(u8::is_ascii_whitespace) {
                self.beside(value, rule, name);
            }
            from = end;
        }
    }

    /// Hides `value`, unless it is certainly not a secret. Returns its end.
    fn beside(&mut self, value: Range<usize>, rule: Rule, name: Range<usize>) -> Option<usize> {
        let bytes = self.bytes;
        let end = value.end;
        let secret = &bytes[value.clone()];
        let open = std::str::from_utf8(secret).is_ok_and(|text| {
            text.len() <= 160
                && (is_nothing(text) || is_placeholder(text) || is_sentence(text, &bytes[name.clone()]))
        });
        if !secret.is_empty() && !open && rule.hides(secret) {
            self.named(value, rule, name);
        }
        Some(end)
    }
}

/// First words of the names of error types: `InvalidToken`.
const ERROR_WORDS: &[&[u8]] = &[
    b"Bad",
    b"Duplicate",
    b"Empty",
    b"Expected",
    b"Expired",
    b"Invalid",
    b"Malformed",
    b"Missing",
    b"No",
    b"Unexpected",
    b"Unknown",
    b"Unsupported",
    b"Weak",
    b"Wrong",
];

/// Names after which a text in quotes is the secret itself, and not the name of a secret.
const STRONG: &[&[u8]] =
    &[b"password", b"passwd", b"passphrase", b"pwd", b"api-key", b"api_key", b"auth-token"];

fn ends_with(text: &[u8], end: &[u8]) -> bool {
    text.len().checked_sub(end.len()).is_some_and(|start| text[start..].eq_ignore_ascii_case(end))
}

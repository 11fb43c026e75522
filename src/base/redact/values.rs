//! Finds the end of a value in any kind of text: a header, a query, JSON, `Debug` output.
//!
//! In doubt, the later end is used, so that no part of a secret is kept.

use std::ops::Range;

use super::bytes::{is_name, is_quote};
use super::search::Search;
use super::steps::{ahead, behind, count, find, find_text};

/// How many bytes are examined to see whether a list continues.
const AHEAD: usize = 64;

/// Where a value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// After `=`.
    Assigned,
    /// After `=` in the query of a URL.
    Query,
    /// After `:`. The value may contain blanks.
    Colon,
    /// After the name of a header whose value may contain lists and pairs.
    Header,
}

/// A value, and whether it is in quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) place: Range<usize>,
    pub(super) quoted: bool,
}

impl Search<'_> {
    /// The value that begins at `from`, after the sign and its blanks.
    pub(super) fn value(&mut self, from: usize, place: Context) -> Value {
        let bytes = self.bytes;
        let open = ahead(bytes, from, usize::MAX, |byte| byte == b'\\');
        let escapes = open - from;
        if let Some(quote) = bytes.get(open).copied().filter(|byte| is_quote(*byte)) {
            let start = open + 1;
            // Python and TOML have triple quotes: the value begins after the last one.
            if escapes == 0 && bytes[start..].starts_with(&[quote, quote]) {
                let triple = [quote; 3];
                let start = start + 2;
                let end = find_text(&triple, bytes, start).unwrap_or(bytes.len());
                return Value { place: start..end, quoted: true };
            }
            let end = self.closing(start, quote, escapes).unwrap_or(bytes.len());
            return Value { place: start..end, quoted: true };
        }
        let end = self.bare(from, place);
        let blanks = behind(bytes, end, end - from, |byte| byte.is_ascii_whitespace());
        Value { place: from..blanks, quoted: false }
    }

    /// The place of the quote that closes the string at `from`, with the backslashes before it.
    ///
    /// A quote inside the string has more backslashes than the one that opened it: at each level of nested documents, twice
    /// as many and one more.
    pub(super) fn closing(&mut self, from: usize, quote: u8, escapes: usize) -> Option<usize> {
        let bytes = self.bytes;
        let kind = match quote {
            b'"' => 0,
            b'\'' => 1,
            _ => 2,
        };
        // One level deeper, there are twice as many backslashes and one more. If documents are nested too deep, no quote
        // closes the string.
        let level = (usize::BITS - escapes.leading_zeros()) as usize;
        if self.unclosed.get(level).is_none_or(|unclosed| from >= unclosed[kind]) {
            return None;
        }
        let mut at = from;
        while let Some(place) = find(quote, bytes, at) {
            let before = place - behind(bytes, place, place - at, |byte| byte == b'\\');
            let twice = (escapes + 1).saturating_mul(2);
            if before % twice == escapes || before < escapes {
                return Some(place - before.min(escapes));
            }
            at = place + 1;
        }
        self.unclosed[level][kind] = from;
        None
    }

    /// The end of a value without quotes around it.
    fn bare(&mut self, from: usize, place: Context) -> usize {
        let bytes = self.bytes;
        let (mut depth, mut at) = (0_usize, from);
        let mut lost = [false; 2];
        while let Some(byte) = bytes.get(at).copied() {
            count(1);
            // The backslashes before a quote, all at once.
            let quote = if byte == b'\\' { ahead(bytes, at, usize::MAX, |byte| byte == b'\\') } else { at };
            match bytes.get(quote).copied() {
                Some(sign @ (b'"' | b'\'')) => {
                    let single = usize::from(sign == b'\'');
                    let opens = depth > 0 && !(single == 1 && quote > from && is_word(bytes[quote - 1]))
                        || begins_part(bytes, from, at);
                    if opens && !lost[single] {
                        match self.closing(quote + 1, sign, quote - at) {
                            Some(end) => {
                                at = end + (quote - at) + 1;
                                continue;
                            }
                            // An apostrophe, which has no closing quote.
                            None if single == 1 => lost[1] = true,
                            None => return bytes.len(),
                        }
                    } else if depth == 0 && ends(bytes, quote, place) {
                        return at;
                    }
                    at = quote;
                }
                _ if quote > at => {
                    at = quote;
                    continue;
                }
                _ => match byte {
                    b'(' | b'[' | b'{' => depth += 1,
                    b')' | b']' | b'}' if depth > 0 => depth -= 1,
                    _ if depth > 0 => {}
                    _ if ends(bytes, at, place) => return at,
                    _ => {}
                },
            }
            at += 1;
        }
        bytes.len()
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// Whether the quote at `at` begins a part of the value: `b"…"`, `username="…"`.
fn begins_part(bytes: &[u8], from: usize, at: usize) -> bool {
    let before = &bytes[from..at];
    matches!(before, b"b" | b"r" | b"c" | b"br" | b"cr") || before.last() == Some(&b'=')
}

fn ends(bytes: &[u8], at: usize, place: Context) -> bool {
    let next = bytes.get(at + 1).copied();
    match bytes[at] {
        b'\n' | b'\r' | b'\x1b' => true,
        b' ' | b'\t' => matches!(place, Context::Assigned | Context::Query),
        // An apostrophe, as in `it's`, does not end the value. A quote that closes an outer string does.
        b'"' | b'\'' | b'`' | b')' | b']' | b'}' => !next.is_some_and(|next| next.is_ascii_alphanumeric()),
        b'<' => matches!(next, Some(b'/' | b'!')),
        b'&' if place == Context::Query => true,
        b'#' => place == Context::Query,
        b',' | b';' if matches!(place, Context::Header) => false,
        b',' | b';' | b'&' => pair_follows(&bytes[at + 1..]),
        _ => false,
    }
}

/// Whether a list continues with its next pair after this comma. Otherwise the comma is part of the value.
fn pair_follows(rest: &[u8]) -> bool {
    let Some(first) = rest.first() else { return true };
    if first.is_ascii_whitespace() || matches!(first, b'"' | b'\'' | b'{' | b'[' | b'\\') {
        return true;
    }
    let name = ahead(rest, 0, AHEAD, is_name);
    name > 0 && matches!(rest.get(name), Some(b'=' | b':'))
}

//! Where a value begins and ends in a text that may be anything: a header, a query, JSON, what `Debug` prints.
//!
//! In doubt it ends later: better a word too many is gone than half a secret is left.

use std::ops::Range;

use crate::cut::cut;

/// How far to look for what tells whether a list goes on.
const AHEAD: usize = 64;

/// Whether a byte may stand in a name; all that is not ASCII may.
pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'%' | 0x80..)
}

/// The beginning of the character that `at` lies in.
pub(super) fn char_start(text: &str, at: usize) -> usize {
    cut(text, at).len()
}

/// What kind of value to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// After `=`.
    Assigned,
    /// After `=` in the query of a URL.
    Query,
    /// After `:`; it may have blanks in it.
    Colon,
    /// After the name of a header that holds lists and pairs of its own.
    Header,
}

/// The value that begins at `from`, after the sign and its blanks.
pub(super) fn value(text: &str, from: usize, place: Place) -> Range<usize> {
    let bytes = text.as_bytes();
    let escapes = bytes[from..].iter().take_while(|byte| **byte == b'\\').count();
    let open = from + escapes;
    if let Some(quote @ (b'"' | b'\'' | b'`')) = bytes.get(open) {
        let start = open + 1;
        return start..closing(bytes, start, *quote, escapes).unwrap_or(text.len());
    }
    let end = bare(bytes, from, place);
    from..from + text[from..char_start(text, end)].trim_end().len()
}

/// Where the quote stands, with the backslashes before it, that ends what begins at `from`.
///
/// A quote that is part of the text has one more backslash than the one that began it, for each level of
/// documents within documents twice as many.
fn closing(bytes: &[u8], from: usize, quote: u8, escapes: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let place = at + memchr::memchr(quote, &bytes[at..])?;
        let before = bytes[from..place].iter().rev().take_while(|byte| **byte == b'\\').count();
        let twice = 2 * (escapes + 1);
        if before % twice == escapes || before < escapes {
            return Some(place - before.min(escapes));
        }
        at = place + 1;
    }
}

/// The end of a value without quotes around it.
fn bare(bytes: &[u8], from: usize, place: Place) -> usize {
    let mut depth = 0_usize;
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth > 0 => depth -= 1,
            b'"' | b'\'' if depth > 0 || opens(bytes, from, at) => {
                let escapes = bytes[from..at].iter().rev().take_while(|byte| **byte == b'\\').count();
                match closing(bytes, at + 1, *byte, escapes) {
                    Some(end) => at = end + escapes,
                    // An apostrophe has no partner.
                    None if *byte == b'\'' => {}
                    None => return bytes.len(),
                }
            }
            _ if depth > 0 => {}
            _ if ends(bytes, at, place) => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Whether the quote at `at` begins a part of the value: `b"…"`, `username="…"`.
fn opens(bytes: &[u8], from: usize, at: usize) -> bool {
    let before = &bytes[from..at];
    matches!(before, b"b" | b"r" | b"c" | b"br" | b"cr") || before.last() == Some(&b'=')
}

fn ends(bytes: &[u8], at: usize, place: Place) -> bool {
    let next = bytes.get(at + 1).copied();
    match bytes[at] {
        b'\n' | b'\r' => true,
        b' ' | b'\t' => matches!(place, Place::Assigned | Place::Query),
        // Where `it's` goes on, a quote that ends something outside does not.
        b'"' | b'\'' | b'`' | b')' | b']' | b'}' => !next.is_some_and(|next| next.is_ascii_alphanumeric()),
        b'<' => matches!(next, Some(b'/' | b'!')),
        b'\\' => {
            let quote = at + bytes[at..].iter().take_while(|byte| **byte == b'\\').count();
            matches!(bytes.get(quote), Some(b'"' | b'\'')) && ends(bytes, quote, place)
        }
        b'&' if place == Place::Query => true,
        b'#' => place == Place::Query,
        b',' | b';' if matches!(place, Place::Header) => false,
        b',' | b';' | b'&' => pair_follows(&bytes[at + 1..]),
        _ => false,
    }
}

/// Whether a list goes on with its next part, and this comma is none inside a value.
fn pair_follows(rest: &[u8]) -> bool {
    let Some(first) = rest.first() else { return true };
    if first.is_ascii_whitespace() || matches!(first, b'"' | b'\'' | b'{' | b'[' | b'\\') {
        return true;
    }
    let name = rest.iter().take(AHEAD).take_while(|byte| is_name(**byte)).count();
    name > 0 && matches!(rest.get(name), Some(b'=' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_where_it_does() {
        use Place::{Assigned, Colon, Header, Query};
        for (text, place, found) in [
            ("abc def", Assigned, "abc"),
            ("abc def", Colon, "abc def"),
            ("abc&x=1", Assigned, "abc"),
            ("a&b x=1", Assigned, "a&b"),
            ("a,b&c", Query, "a,b"),
            ("ab,cd, x", Assigned, "ab,cd"),
            ("ab;c=1", Assigned, "ab"),
            ("it's mine, yes", Colon, "it's mine"),
            ("abc\", \"x\": 1", Colon, "abc"),
            ("abc)", Assigned, "abc"),
            ("a)b c", Assigned, "a)b"),
            ("\"a b\", x", Colon, "a b"),
            (r#""a\"b\\", x"#, Colon, r#"a\"b\\"#),
            (r#"\"a b\", x"#, Colon, "a b"),
            (r#"\"a\\\"b\", x"#, Colon, r#"a\\\"b"#),
            ("'a\"b' c", Assigned, "a\"b"),
            ("\"never closed", Assigned, "never closed"),
            ("Some(\"x y\") z", Assigned, "Some(\"x y\")"),
            ("Token { a: \"}\", b: [1, 2] }, c: 3", Colon, "Token { a: \"}\", b: [1, 2] }"),
            ("[1, 2] }", Assigned, "[1, 2]"),
            ("b\"x y\", z", Colon, "b\"x y\""),
            (
                "Digest username=\"a, b\", realm=\"c\"\nHost: h",
                Header,
                "Digest username=\"a, b\", realm=\"c\"",
            ),
            ("a=b; c=d\" }", Header, "a=b; c=d"),
            ("abc</token>", Assigned, "abc"),
            ("é,", Assigned, "é"),
            ("", Assigned, ""),
        ] {
            assert_eq!(&text[value(text, 0, place)], found, "{text}");
        }
    }
}

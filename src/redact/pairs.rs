//! Values that stand beside the name of a secret.

use std::ops::Range;

use super::urls;
use super::values::{Place, is_name, value};
use crate::cut::boundary_from;

/// How far back a name may reach, and what stands between it and its sign.
const BACK: usize = 128;
const BETWEEN: usize = 8;

/// A sign, what stands before it and what comes after.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) name: Range<usize>,
    /// The sign, or the first of several.
    sign: usize,
    /// Where the search goes on if the name is that of nothing secret.
    pub(super) after: usize,
    pub(super) in_query: bool,
}

/// What is found at a sign.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Pair(Pair),
    /// The `://` of a URL.
    Url(usize),
    /// Nothing; the search goes on here.
    Nothing(usize),
}

/// The next sign from `from` on.
pub(super) fn next(text: &str, from: usize) -> Option<Sign> {
    let bytes = text.as_bytes();
    let sign = from + memchr::memchr3(b'=', b':', b'>', &bytes[from..])?;
    if urls::begins(bytes, sign) {
        return Some(Sign::Url(sign));
    }
    let run = bytes[sign..].iter().take_while(|byte| matches!(byte, b'=' | b':' | b'>')).count();
    let after = sign + run;
    // A path of Rust, such as `token::Kind`.
    if bytes[sign..].starts_with(b"::") {
        return Some(Sign::Nothing(after));
    }
    let tag = bytes[sign] == b'>';
    let end = if tag { sign } else { before_sign(bytes, from, sign) };
    let length = bytes[from..end].iter().rev().take(BACK).take_while(|byte| is_name(**byte)).count();
    let start = boundary_from(text, end - length);
    if start == end || (tag && !opened(&bytes[..start])) {
        return Some(Sign::Nothing(after));
    }
    Some(Sign::Pair(Pair { name: start..end, sign, after, in_query: urls::in_query(bytes, start) }))
}

/// The end of the name that a sign belongs to, which may be quoted, the quotes escaped where a document lies in
/// a string; in `user[token]=` it stands in brackets.
fn before_sign(bytes: &[u8], from: usize, sign: usize) -> usize {
    let between = bytes[from..sign].iter().rev().take(BETWEEN);
    sign - between.take_while(|byte| matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b']' | b' ')).count()
}

/// Whether what stands before a name opens a tag of XML, which may be in a namespace, and no type of Rust:
/// `Vec<Token>`.
fn opened(before: &[u8]) -> bool {
    let space = before.iter().rev().take(BACK).take_while(|byte| is_name(**byte) || **byte == b':').count();
    match &before[..before.len() - space] {
        [.., outside, b'<'] => !is_name(*outside),
        before => before == b"<",
    }
}

impl Pair {
    /// Where the value stands; `None` if there is none to hide.
    pub(super) fn value(&self, text: &str) -> Option<Range<usize>> {
        let bytes = text.as_bytes();
        if bytes[self.sign] == b'>' {
            let rest = &text[self.after..];
            let end = rest.find("</").unwrap_or(rest.len());
            return hidden(text, self.after..self.after + end);
        }
        let blanks = bytes[self.after..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let name = &text[self.name.clone()];
        let place = match bytes[self.sign] {
            _ if self.in_query => Place::Query,
            _ if has(name, "cookie") || has(name, "authorization") => Place::Header,
            b':' => Place::Colon,
            _ => Place::Assigned,
        };
        hidden(text, value(text, self.after + blanks, place))
    }
}

/// Nothing is no secret.
fn hidden(text: &str, value: Range<usize>) -> Option<Range<usize>> {
    (!matches!(&text[value.clone()], "" | "null" | "None")).then_some(value)
}

fn has(name: &str, part: &str) -> bool {
    name.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

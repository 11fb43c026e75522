//! Values that stand beside the name of a secret.

use std::ops::Range;

use super::MARKER;
use super::doubt;
use super::keyed::LENGTH as HASH;
use super::rule::Rule;
use super::settings::Treatment;
use super::spoken::Spoken;
use super::steps::{ahead, behind, char_start, continues, count, find_text, find3};
use super::text::{Search, is_gone};
use super::urls;
use super::values::{Place, Value, is_blank, is_name, is_quote};

/// How far back a name may reach, and what stands between it and its sign.
const BACK: usize = 128;
const BETWEEN: usize = 8;

/// A sign, what stands before it and what comes after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) name: Range<usize>,
    /// The sign, or the first of several.
    pub(super) sign: usize,
    /// Where the search goes on if the name is that of nothing secret.
    pub(super) after: usize,
    pub(super) in_query: bool,
}

impl Search<'_> {
    /// Finds what stands after the name of a secret, and the user's part of URLs if there may be one.
    pub(super) fn at_signs(&mut self) {
        let bytes = self.bytes;
        let mut spoken = Spoken::default();
        let mut from = 0;
        while let Some(sign) = find3([b'=', b':', b'>'], bytes, from) {
            if urls::begins(bytes, sign) {
                from = self.url(sign);
                continue;
            }
            let after = ahead(bytes, sign, usize::MAX, |byte| matches!(byte, b'=' | b':' | b'>'));
            let Some(pair) = self.pair(from, sign, after) else {
                from = after;
                continue;
            };
            let rule = self.rules.rule(&bytes[pair.name.clone()], pair.in_query);
            from = match rule.treatment {
                Treatment::Leave => spoken.hears(self, &pair).unwrap_or(pair.after),
                _ => self.secret(&pair, rule).unwrap_or(pair.after),
            };
        }
    }

    /// What a sign joins; nothing where no name stands before it.
    fn pair(&self, from: usize, sign: usize, after: usize) -> Option<Pair> {
        let bytes = self.bytes;
        // A path of Rust, such as `token::Kind`.
        if bytes[sign..].starts_with(b"::") {
            return None;
        }
        let tag = bytes[sign] == b'>';
        let end = if tag { sign } else { before_sign(bytes, from, sign) };
        let mut start = behind(bytes, end, BACK.min(end - from), is_name);
        // A name in quotes may have blanks in it, and characters in another writing.
        let quote = bytes[end..sign].iter().find(|byte| is_quote(**byte));
        if let Some(quote) = quote
            && !(start > from && (bytes[start - 1] == *quote))
        {
            let open = behind(bytes, end, BACK.min(end - from), |byte| byte != *quote && byte != b'\n');
            if open > from && bytes[open - 1] == *quote && open < end {
                start = open;
            }
        }
        // Names of two words, as in `the api key: …`.
        if bytes[start..end].eq_ignore_ascii_case(b"key") && start > from + 1 && bytes[start - 1] == b' ' {
            let word = behind(bytes, start - 1, 16.min(start - 1 - from), |byte| byte.is_ascii_alphabetic());
            let kinds = ["access", "account", "api", "encryption", "private", "secret", "signing"];
            let word = word..start - 1;
            if kinds.iter().any(|kind| bytes[word.clone()].eq_ignore_ascii_case(kind.as_bytes())) {
                start = word.start;
            }
        }
        start = ahead(bytes, start, end - start, continues);
        if start == end || (tag && !opened(&bytes[..start])) {
            return None;
        }
        Some(Pair { name: start..end, sign, after, in_query: urls::in_query(bytes, start) })
    }

    /// Hides what goes by the name of a secret; where the search goes on after it.
    fn secret(&mut self, pair: &Pair, rule: Rule) -> Option<usize> {
        let bytes = self.bytes;
        let begins = ahead(bytes, pair.after, 16, |byte| is_blank(byte) || is_quote(byte) || byte == b'\\');
        if let Some(end) = gone(bytes, begins) {
            return Some(end);
        }
        if rule.is_count(bytes, begins) {
            return None;
        }
        // The value of a name that is an ordinary word is short, and is not looked for further.
        if let Some(end) = rule.digits(bytes, begins) {
            let goes_on = bytes.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric());
            let quoted = begins > pair.after && is_quote(bytes[begins - 1]);
            let place = begins..if goes_on { begins } else { end };
            return self.hide(pair, rule, Value { place, quoted });
        }
        if bytes[pair.sign] == b'>' {
            let end = if self.elements { find_text(b"</", bytes, pair.after) } else { None };
            self.elements = end.is_some();
            // Without an end it is a document that was cut off, or no element: `<PASSWORD>` in a help text.
            if end.is_none() && !bytes.get(pair.after).is_some_and(|byte| byte.is_ascii_alphanumeric()) {
                return None;
            }
            let place = pair.after..end.unwrap_or(bytes.len());
            return self.hide(pair, rule, Value { place, quoted: true });
        }
        let from = ahead(bytes, pair.after, usize::MAX, is_blank);
        if bytes[pair.sign] == b':'
            && let Some(value) = self.next_lines(pair, from)
        {
            return self.hide(pair, rule, value);
        }
        let name = &bytes[pair.name.clone()];
        let place = match bytes[pair.sign] {
            _ if pair.in_query => Place::Query,
            _ if has(name, b"cookie") || has(name, b"authorization") => Place::Header,
            b':' => Place::Colon,
            _ => Place::Assigned,
        };
        let value = self.value(from, place);
        self.hide(pair, rule, value)
    }

    /// Hides `value`, unless it is none or clearly no secret.
    fn hide(&mut self, pair: &Pair, rule: Rule, value: Value) -> Option<usize> {
        let (bytes, rules, place) = (self.bytes, self.rules, value.place.clone());
        let is_secret = |name: &[u8]| rules.rule(name, false).treatment != Treatment::Leave;
        if place.is_empty()
            || !rule.hides(&bytes[place.clone()])
            || doubt::is_open(bytes, pair, &value, rule, is_secret)
        {
            return None;
        }
        let end = place.end;
        let place = place.start..char_start(bytes, end);
        self.named(place, rule, pair.name.clone());
        Some(end)
    }
}

/// The end of the name that a sign belongs to, which may be quoted, the quotes escaped where a document lies in
/// a string; in `user[token]=` it stands in brackets.
fn before_sign(bytes: &[u8], from: usize, sign: usize) -> usize {
    behind(bytes, sign, BETWEEN.min(sign - from), |byte| {
        matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b']' | b' ' | b'\t')
    })
}

/// Whether what stands before a name opens a tag of XML, which may be in a namespace, and no type of Rust:
/// `Vec<Token>`.
fn opened(before: &[u8]) -> bool {
    let start = behind(before, before.len(), BACK, |byte| is_name(byte) || byte == b':');
    match &before[..start] {
        [.., outside, b'<'] => !is_name(*outside),
        before => before == b"<",
    }
}

/// The end of what stands in the place of a secret, if that begins at `at`.
pub(super) fn gone(bytes: &[u8], at: usize) -> Option<usize> {
    let mark = [MARKER.len(), HASH].into_iter().find_map(|length| {
        let end = at.checked_add(length)?;
        is_gone(bytes.get(at..end)?).then_some(end)
    })?;
    (!bytes.get(mark).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80)).then_some(mark)
}

fn has(name: &[u8], part: &[u8]) -> bool {
    name.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

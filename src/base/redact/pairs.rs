//! Values after the name of a secret and a sign, such as `password=…`.

use super::bytes::{is_blank, is_name, is_quote};
use super::harmless;
use super::marker::replaced_end;
use super::named_values::NamedValues;
use super::pair::Pair;
use super::rule::Rule;
use super::search::Search;
use super::steps::{ahead, behind, char_start, continues, find_last, find_text, find3};
use super::treatment::Treatment;
use super::urls;
use super::values::{Context, Value};

/// How far back a name may reach, and what stands between it and its sign.
const BACK: usize = 128;
const BETWEEN: usize = 8;

impl Search<'_> {
    /// Finds what stands after the name of a secret, and the user's part of URLs if there may be one.
    pub(super) fn at_signs(&mut self) {
        let bytes = self.bytes;
        let mut named = NamedValues::default();
        let mut from = 0;
        let mut tag = Tag::default();
        while let Some(sign) = find3([b'=', b':', b'>'], bytes, from) {
            if urls::begins(bytes, sign) {
                from = self.url(sign);
                continue;
            }
            let after = ahead(bytes, sign, usize::MAX, |byte| matches!(byte, b'=' | b':' | b'>'));
            let Some(pair) = self.pair(from, sign, after) else {
                let hidden =
                    (bytes[sign] == b'>').then(|| self.element(&mut tag, &mut named, sign)).flatten();
                from = hidden.unwrap_or(after);
                continue;
            };
            let rule = self.rules.rule(&bytes[pair.name.clone()], pair.in_query);
            from = match rule.treatment {
                Treatment::Leave => named.observe(self, &pair).unwrap_or(pair.after),
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
        // `name -> value`
        let arrow = bytes[sign] == b'>'
            && sign > from + 1
            && matches!(bytes[sign - 2..sign], [b' ' | b'"' | b'\'', b'-']);
        let sign = if arrow { sign - 1 } else { sign };
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
        start = self.first_word(from, start, end);
        start = ahead(bytes, start, end - start, continues);
        if start == end || (tag && !opened(&bytes[..start])) {
            return None;
        }
        let after = after_styles(bytes, after);
        Some(Pair { name: start..end, sign, after, in_query: urls::in_query(bytes, start) })
    }

    /// Where a name begins that ends at `end` and whose last word begins at `start`.
    fn first_word(&self, from: usize, start: usize, end: usize) -> usize {
        let bytes = self.bytes;
        let name = &bytes[start..end];
        // A property of Java: `-Dpassword=…`.
        if name.starts_with(b"-D") && (start == 0 || matches!(bytes[start - 1], b' ' | b'"' | b'\'')) {
            return start + 2;
        }
        // What makes a terminal show the name in another way.
        let style = ahead(name, 0, 3, |byte| byte.is_ascii_digit());
        if name.get(style) == Some(&b'm') && style_before(bytes, from, start + style + 1).is_some() {
            return start + style + 1;
        }
        // Names of two words, as in `the api key: …`.
        let last = [&b"key"[..], b"id"].iter().any(|last| name.eq_ignore_ascii_case(last));
        if last && start > from + 1 && bytes[start - 1] == b' ' {
            let word = behind(bytes, start - 1, 16.min(start - 1 - from), |byte| byte.is_ascii_alphabetic());
            let kinds = ["access", "account", "api", "encryption", "private", "secret", "session", "signing"];
            let first = &bytes[word..start - 1];
            if kinds.iter().any(|kind| first.eq_ignore_ascii_case(kind.as_bytes())) {
                return word;
            }
        }
        start
    }

    /// Hides what stands in an element of XML with attributes, whose tag ends at `sign`, if its name or one of its
    /// attributes says that it is secret: `<password type="text">…`, `<property name="password">…`.
    fn element(&mut self, tag: &mut Tag, named: &mut NamedValues, sign: usize) -> Option<usize> {
        let bytes = self.bytes;
        let opens = tag.opens(bytes, sign)?;
        let end = ahead(bytes, opens + 1, 64, |byte| is_name(byte) || byte == b':');
        let closed = matches!(bytes[sign - 1], b'/' | b'-' | b'?');
        if closed || end == opens + 1 || !bytes[end].is_ascii_whitespace() || !opened(&bytes[..opens + 1]) {
            return None;
        }
        let start = behind(bytes, end, end - opens - 1, |byte| byte != b':');
        let name = start..end;
        let pair = |name| Pair { name, sign, after: sign + 1, in_query: false };
        if let Some(rule) = self.is_secret(&bytes[name.clone()]) {
            return self.secret(&pair(name), rule);
        }
        let (rule, attribute) = named.in_tag(opens)?;
        let text = ahead(bytes, sign + 1, 64, |byte| byte.is_ascii_whitespace());
        let html = [&b"a"[..], b"button", b"input", b"label", b"meta", b"option"];
        let empty = bytes.get(text).is_none_or(|byte| *byte == b'<');
        if empty || html.iter().any(|html| bytes[name.clone()].eq_ignore_ascii_case(html)) {
            return None;
        }
        self.secret(&pair(attribute), rule)
    }

    /// Hides what goes by the name of a secret; where the search goes on after it.
    fn secret(&mut self, pair: &Pair, rule: Rule) -> Option<usize> {
        let bytes = self.bytes;
        let begins = ahead(bytes, pair.after, 16, |byte| is_blank(byte) || is_quote(byte) || byte == b'\\');
        if let Some(end) = replaced_end(bytes, begins) {
            return Some(end);
        }
        if rule.is_count(bytes, begins) {
            return None;
        }
        if let Some(end) = rule.end(bytes, begins) {
            let quoted = begins > pair.after && is_quote(bytes[begins - 1]);
            return self.hide(pair, rule, Value { place: begins..end, quoted });
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
        if self.ends_before(pair, from) {
            return None;
        }
        if bytes[pair.sign] == b':'
            && let Some(value) = self.next_lines(pair, from)
        {
            return self.hide(pair, rule, value);
        }
        let name = &bytes[pair.name.clone()];
        let place = match bytes[pair.sign] {
            _ if pair.in_query => Context::Query,
            _ if has(name, b"cookie") || has(name, b"authorization") => Context::Header,
            b':' => Context::Colon,
            _ => Context::Assigned,
        };
        let value = self.value(from, place);
        self.hide(pair, rule, value)
    }

    /// Whether the quote at `from` ends a text that began before the name: `prompt("Password: ")`.
    fn ends_before(&self, pair: &Pair, from: usize) -> bool {
        let bytes = self.bytes;
        let Some(quote) = bytes.get(from).filter(|byte| is_quote(**byte)) else { return false };
        pair.name.start > 0
            && bytes[pair.name.start - 1] == *quote
            && !bytes[pair.name.end..pair.sign].contains(quote)
            && !bytes.get(from + 1).is_some_and(u8::is_ascii_alphanumeric)
    }

    /// Hides `value`, unless it is none or clearly no secret.
    fn hide(&mut self, pair: &Pair, rule: Rule, value: Value) -> Option<usize> {
        let (bytes, rules, place) = (self.bytes, self.rules, value.place.clone());
        let is_secret = |name: &[u8]| rules.rule(name, false).treatment != Treatment::Leave;
        if place.is_empty()
            || !rule.hides(&bytes[place.clone()])
            || harmless::is_harmless(bytes, pair, &value, rule, is_secret)
        {
            return None;
        }
        let end = place.end;
        let place = place.start..char_start(bytes, end);
        self.named(place, rule, pair.name.clone());
        Some(end)
    }
}

/// The tag that was opened last.
#[derive(Default)]
struct Tag {
    /// Up to where it was looked for.
    seen: usize,
    opens: Option<usize>,
}

impl Tag {
    /// Where the tag opens that ends at `sign`.
    fn opens(&mut self, bytes: &[u8], sign: usize) -> Option<usize> {
        if let Some(opens) = find_last(b'<', bytes, self.seen, sign) {
            self.opens = Some(opens);
        }
        self.seen = sign;
        self.opens.take()
    }
}

/// Where what makes a terminal show a text in another way begins, if it ends at `to`.
fn style_before(bytes: &[u8], from: usize, to: usize) -> Option<usize> {
    if to <= from || bytes[to - 1] != b'm' {
        return None;
    }
    let digits = behind(bytes, to - 1, 8.min(to - 1 - from), |byte| byte.is_ascii_digit() || byte == b';');
    bytes[from..digits].ends_with(b"\x1b[").then(|| digits - 2)
}

/// Where the text goes on after up to three of these.
fn after_styles(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    for _ in 0..3 {
        if !bytes[at..].starts_with(b"\x1b[") {
            break;
        }
        let end = ahead(bytes, at + 2, 8, |byte| byte.is_ascii_digit() || byte == b';');
        if bytes.get(end) != Some(&b'm') {
            break;
        }
        at = end + 1;
    }
    at
}

/// The end of the name that a sign belongs to, which may be quoted, the quotes escaped where a document lies in
/// a string; in `user[token]=` it stands in brackets.
fn before_sign(bytes: &[u8], from: usize, sign: usize) -> usize {
    let mut end = sign;
    for _ in 0..3 {
        end = behind(bytes, end, BETWEEN.min(end - from), |byte| {
            matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b']' | b'*' | b' ' | b'\t')
        });
        match style_before(bytes, from, end) {
            Some(style) => end = style,
            None => break,
        }
    }
    end
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

fn has(name: &[u8], part: &[u8]) -> bool {
    name.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

//! Values after the name of a secret and a sign (`=`, `:` or `>`), such as `password=…`.

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

/// The maximum length of a name.
const LONGEST_NAME: usize = 128;
/// The maximum number of bytes between a name and its sign.
const LONGEST_GAP: usize = 8;

impl Search<'_> {
    /// Finds values after names of secrets, and credentials in URLs.
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

    /// The name before a sign, and where its value begins. `None` if there is no name.
    fn pair(&self, from: usize, sign: usize, after: usize) -> Option<Pair> {
        let bytes = self.bytes;
        // A Rust path, such as `token::Kind`.
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
        let mut start = behind(bytes, end, LONGEST_NAME.min(end - from), is_name);
        // A name in quotes may contain blanks and escapes.
        let quote = bytes[end..sign].iter().find(|byte| is_quote(**byte));
        if let Some(quote) = quote
            && !(start > from && (bytes[start - 1] == *quote))
        {
            let open =
                behind(bytes, end, LONGEST_NAME.min(end - from), |byte| byte != *quote && byte != b'\n');
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

    /// The start of the name whose last word is `start..end`.
    fn first_word(&self, from: usize, start: usize, end: usize) -> usize {
        let bytes = self.bytes;
        let name = &bytes[start..end];
        // A Java property: `-Dpassword=…`.
        if name.starts_with(b"-D") && (start == 0 || matches!(bytes[start - 1], b' ' | b'"' | b'\'')) {
            return start + 2;
        }
        // An escape sequence before the name, such as a color of the terminal.
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

    /// Hides the text of an XML element with attributes if its name, or the value of an attribute, is the name of a
    /// secret: `<password type="text">…`, `<property name="password">…`. The opening tag ends at `sign`. Returns where the
    /// search continues.
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

    /// Hides the value of a pair whose name is that of a secret. Returns where the search continues.
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
            // Without a closing tag, the document was cut off, or this is not an element: `<PASSWORD>` in a help text.
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

    /// Whether the quote at `from` closes a string that began before the name: `prompt("Password: ")`.
    fn ends_before(&self, pair: &Pair, from: usize) -> bool {
        let bytes = self.bytes;
        let Some(quote) = bytes.get(from).filter(|byte| is_quote(**byte)) else { return false };
        pair.name.start > 0
            && bytes[pair.name.start - 1] == *quote
            && !bytes[pair.name.end..pair.sign].contains(quote)
            && !bytes.get(from + 1).is_some_and(u8::is_ascii_alphanumeric)
    }

    /// Hides `value`, unless it is empty or clearly not a secret.
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

/// The last opening tag.
#[derive(Default)]
struct Tag {
    /// The text before this place was searched for `<`.
    seen: usize,
    /// The place of the last `<`.
    opens: Option<usize>,
}

impl Tag {
    /// The start of the tag that ends at `sign`.
    fn opens(&mut self, bytes: &[u8], sign: usize) -> Option<usize> {
        if let Some(opens) = find_last(b'<', bytes, self.seen, sign) {
            self.opens = Some(opens);
        }
        self.seen = sign;
        self.opens.take()
    }
}

/// The start of the terminal escape sequence (`ESC [ … m`) that ends at `to`.
fn style_before(bytes: &[u8], from: usize, to: usize) -> Option<usize> {
    if to <= from || bytes[to - 1] != b'm' {
        return None;
    }
    let digits = behind(bytes, to - 1, 8.min(to - 1 - from), |byte| byte.is_ascii_digit() || byte == b';');
    bytes[from..digits].ends_with(b"\x1b[").then(|| digits - 2)
}

/// The place after up to three terminal escape sequences.
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

/// The end of the name before a sign. The name may be in quotes, which are escaped if a document is inside a string, or
/// in brackets, as in `user[token]=`.
fn before_sign(bytes: &[u8], from: usize, sign: usize) -> usize {
    let mut end = sign;
    for _ in 0..3 {
        end = behind(bytes, end, LONGEST_GAP.min(end - from), |byte| {
            matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b']' | b'*' | b' ' | b'\t')
        });
        match style_before(bytes, from, end) {
            Some(style) => end = style,
            None => break,
        }
    }
    end
}

/// Whether the text before a name opens an XML tag, with or without a namespace. A Rust type such as `Vec<Token>` is not
/// a tag.
fn opened(before: &[u8]) -> bool {
    let start = behind(before, before.len(), LONGEST_NAME, |byte| is_name(byte) || byte == b':');
    match &before[..start] {
        [.., outside, b'<'] => !is_name(*outside),
        before => before == b"<",
    }
}

fn has(name: &[u8], part: &[u8]) -> bool {
    name.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

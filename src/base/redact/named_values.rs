//! Values whose name is in another member: `{"name": "password", "value": "…"}`.

use std::ops::Range;

use super::bytes::is_blank;
use super::marker::replaced_end;
use super::pair::Pair;
use super::rule::Rule;
use super::search::Search;
use super::steps::{ahead, behind, count, find_text};
use super::treatment::Treatment;
use super::values::Context;

/// Members that hold a name, and members that hold its value.
const NAMES: &[&[u8]] =
    &[b"attribute", b"field", b"header", b"id", b"key", b"name", b"param", b"parameter", b"variable"];
const VALUES: &[&[u8]] = &[b"content", b"default", b"string", b"v", b"val", b"value"];

/// The maximum length of a name.
const LONGEST: usize = 128;

/// The last pairs of an object.
#[derive(Debug, Default)]
pub(super) struct NamedValues {
    /// The rule of the name of a secret, its place, and whether it is in an XML element.
    name: Option<(Rule, Range<usize>, bool)>,
    /// A value whose name may follow.
    value: Option<Range<usize>>,
    /// The text before this place was searched for brackets.
    seen: usize,
}

/// Whether `name` is one of `names`, in any style.
fn is_one(name: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether the value of the member `name` is itself a name.
pub(crate) fn is_name_of(name: &[u8]) -> bool {
    (2..=9).contains(&name.len())
        && matches!(name[0] | 0x20, b'a' | b'f' | b'h' | b'i' | b'k' | b'n' | b'p' | b'v')
        && is_one(name, NAMES)
}

/// Whether the member `name` holds the value for a name in another member.
pub(crate) fn is_value_of(name: &[u8]) -> bool {
    (1..=7).contains(&name.len())
        && matches!(name[0] | 0x20, b'c' | b'd' | b's' | b'v')
        && is_one(name, VALUES)
}

impl NamedValues {
    /// Processes a pair whose name is not that of a secret. Returns where the search continues if its value was a secret.
    pub(super) fn observe(&mut self, search: &mut Search<'_>, pair: &Pair) -> Option<usize> {
        let bytes = search.bytes;
        let name = &bytes[pair.name.clone()];
        let (names, values) = (is_name_of(name), is_value_of(name));
        let tag = bytes[pair.sign] == b'>';
        if !names && !values {
            search.data |= matches!(name, b"data" | b"stringData");
            return None;
        }
        self.leave_objects(bytes, pair.name.start);
        let value = if tag {
            let end = ahead(bytes, pair.after, LONGEST, |byte| byte != b'<');
            pair.after..end
        } else {
            let from = ahead(bytes, pair.after, usize::MAX, is_blank);
            if names {
                // A longer value is not a name and is not read to its end.
                let from = search.wrapped(from).map_or(from, |(quote, _)| quote);
                let from = ahead(bytes, from, 4, |byte| matches!(byte, b'\\' | b'"' | b'\''));
                from..ahead(bytes, from, LONGEST, |byte| {
                    !byte.is_ascii_whitespace()
                        && !matches!(
                            byte,
                            b'"' | b'\'' | b'\\' | b',' | b'&' | b';' | b'}' | b'=' | b':' | b'>'
                        )
                })
            } else {
                from..from
            }
        };
        if names {
            let rule = search.rules.rule(&bytes[value.clone()], false);
            self.name = (rule.treatment != Treatment::Leave).then(|| (rule, value.clone(), tag));
            if let (Some((rule, name, _)), Some(before)) = (&self.name, self.value.take())
                && find_text(b"- ", &bytes[..pair.name.start], before.end).is_none()
                && rule.hides(&bytes[before.clone()])
            {
                search.named(before, *rule, name.clone());
                self.name = None;
            }
            let (rule, name, _) = self.name.as_ref()?;
            let part = part(bytes, pair.name.start, name.end)?;
            let end = part.end;
            search.named(part, *rule, name.clone());
            self.name = None;
            return Some(end);
        }
        let of_type = || {
            let name = type_before(bytes, pair.name.start)?;
            search.is_secret(&bytes[name.clone()]).map(|rule| (rule, name, tag))
        };
        let Some((rule, name, _)) = self.name.take().or_else(of_type) else {
            if !tag && matches!(bytes.get(value.start), Some(b'"' | b'\\')) {
                let value = search.value(value.start, Context::Colon).place;
                // Longer values are not form fields. They must not be read twice.
                self.value = (value.len() <= 4096).then_some(value);
            }
            return None;
        };
        let begins = ahead(bytes, value.start, 16, |byte| matches!(byte, b'"' | b'\'' | b'\\'));
        if replaced_end(bytes, begins).is_some() {
            return None;
        }
        let value = if let Some(end) = rule.end(bytes, begins) {
            begins..end
        } else if rule.is_count(bytes, begins) {
            return None;
        } else if tag {
            pair.after..find_text(b"</", bytes, pair.after).unwrap_or(bytes.len())
        } else {
            let place = if bytes[pair.sign] == b':' { Context::Colon } else { Context::Assigned };
            search.value(value.start, place).place
        };
        if value.is_empty() || !rule.hides(&bytes[value.clone()]) {
            return None;
        }
        let end = value.end;
        search.named(value, rule, name);
        Some(end)
    }

    /// The name of a secret in an attribute of the tag that begins at `from`.
    pub(super) fn in_tag(&mut self, from: usize) -> Option<(Rule, Range<usize>)> {
        let (rule, name, _) = self.name.take_if(|(_, name, tag)| name.start > from && !*tag)?;
        Some((rule, name))
    }

    /// Forgets the pairs of objects that ended before `to`.
    fn leave_objects(&mut self, bytes: &[u8], to: usize) {
        let tag = self.name.as_ref().is_some_and(|(_, _, tag)| *tag);
        let between = &bytes[self.seen.min(to)..to];
        count(between.len());
        if between.iter().any(|byte| matches!(byte, b'{' | b'}') || (*byte == b'<' && !tag)) {
            (self.name, self.value) = (None, None);
        }
        self.seen = to;
    }
}

/// The line with the value of a form part. The name of the part is in the header at `header` and ends at `end`.
fn part(bytes: &[u8], header: usize, end: usize) -> Option<Range<usize>> {
    if !bytes[..header].ends_with(b"form-data; ") {
        return None;
    }
    let quote =
        if bytes[end..].starts_with(b"\\\"") { end + 2 } else { ahead(bytes, end, 1, |byte| byte == b'"') };
    // The line breaks themselves, or as `Debug` prints them.
    let lines = [&b"\r\n\r\n"[..], b"\n\n", b"\\r\\n\\r\\n"];
    let start = quote + lines.iter().find(|lines| bytes[quote..].starts_with(lines))?.len();
    Some(start..ahead(bytes, start, usize::MAX, |byte| !matches!(byte, b'\r' | b'\n' | b'\\')))
}

/// The name of the type whose first field is at `field`: `BearerToken { value: …`.
fn type_before(bytes: &[u8], field: usize) -> Option<Range<usize>> {
    let brace = behind(bytes, field, 32, |byte| byte.is_ascii_whitespace());
    if !bytes[..brace].ends_with(b" {") {
        return None;
    }
    let end = brace - 2;
    let start = behind(bytes, end, 32, |byte| byte.is_ascii_alphanumeric());
    bytes.get(start).is_some_and(u8::is_ascii_uppercase).then_some(start..end)
}

//! Finds the places of secrets in a JSON document. All other bytes stay as they are.

use std::ops::Range;

use super::cards;
use super::escapes::decode_json;
use super::named_values::{is_name_of, is_value_of};
use super::rule::Rule;
use super::search::{Evidence, Finding, Format, Search};
use super::steps::{ahead, behind, count, find};
use super::treatment::Treatment;

/// The maximum nesting of objects and lists, as in `serde_json`.
const MAX_NESTING: usize = 128;

/// What the grammar allows next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    /// A value, or the end of an empty list.
    First,
    /// A name, or the end of an empty object.
    FirstName,
    Name,
    Colon,
    /// A comma, or the end of the innermost open object or list.
    Comma,
}

/// An open object or list.
struct Level {
    object: bool,
    /// The name of the current member, and its rule if it is the name of a secret.
    member: Range<usize>,
    rule: Option<Rule>,
    /// For objects such as `{"name": "password", "value": "…"}`: the value of `name`, if it is the name of a secret.
    named: Option<(Rule, Range<usize>)>,
    /// The value of `value` in such an object, and whether its replacement needs quotes.
    value: Option<(Range<usize>, bool)>,
}

/// A list or an object that is secret as a whole.
struct Hidden {
    rule: Rule,
    name: Range<usize>,
    start: usize,
    depth: usize,
}

/// Searches the text as JSON. Returns `false` if it is not JSON or is cut off.
pub(super) fn read(search: &mut Search<'_>) -> bool {
    let bytes = search.bytes;
    let mut levels: Vec<Level> = Vec::new();
    let mut hidden: Option<Hidden> = None;
    let mut next = Next::Value;
    let (mut at, mut any) = (0, false);
    loop {
        at = ahead(bytes, at, usize::MAX, |byte| byte.is_ascii_whitespace());
        let Some(byte) = bytes.get(at).copied() else { return levels.is_empty() && any };
        let is_value = matches!(next, Next::Value | Next::First);
        match byte {
            b'{' | b'[' if is_value => {
                if levels.len() == MAX_NESTING {
                    return false;
                }
                if hidden.is_none()
                    && let Some(Level { rule: Some(rule), member, .. }) = levels.last()
                    && rule.hides_all()
                {
                    hidden =
                        Some(Hidden { rule: *rule, name: member.clone(), start: at, depth: levels.len() });
                }
                let object = byte == b'{';
                levels.push(Level { object, member: 0..0, rule: None, named: None, value: None });
                next = if object { Next::FirstName } else { Next::First };
                at += 1;
            }
            b'}' | b']' => {
                let fits = matches!(next, Next::Comma | Next::First | Next::FirstName);
                let Some(level) = levels.pop().filter(|level| fits && level.object == (byte == b'}')) else {
                    return false;
                };
                at += 1;
                match &hidden {
                    Some(whole) if whole.depth == levels.len() => {
                        let Hidden { rule, name, start, .. } = whole;
                        // An empty object or list holds no secret.
                        if at - start > 2 {
                            member(search, *start..at, true, *rule, name.clone());
                        }
                        hidden = None;
                    }
                    None => {
                        if let (Some((rule, name)), Some((place, quoted))) = (level.named, level.value)
                            && rule.hides(&bytes[place.clone()])
                        {
                            member(search, place, quoted, rule, name);
                        }
                    }
                    Some(_) => {}
                }
                (next, any) = (Next::Comma, true);
            }
            b'"' => {
                let Some((place, escaped)) = string(bytes, at) else { return false };
                at = place.end + 1;
                match (next, levels.last_mut()) {
                    (Next::Name | Next::FirstName, Some(level)) => {
                        let rule = search.rules.rule(&bytes[place.clone()], false);
                        level.rule = (rule.treatment != Treatment::Leave).then_some(rule);
                        level.member = place.clone();
                        next = Next::Colon;
                        if hidden.is_none() {
                            inner(search, place, escaped);
                        }
                        continue;
                    }
                    (Next::Value | Next::First, level) if hidden.is_none() => {
                        value(search, level, place, Some(escaped))
                    }
                    (Next::Value | Next::First, _) => {}
                    _ => return false,
                }
                (next, any) = (Next::Comma, true);
            }
            b':' if next == Next::Colon => (next, at) = (Next::Value, at + 1),
            b',' if next == Next::Comma && !levels.is_empty() => {
                next = if levels.last().is_some_and(|level| level.object) { Next::Name } else { Next::Value };
                at += 1;
            }
            _ if is_value || (next == Next::Comma && levels.is_empty()) => {
                let end = ahead(bytes, at, usize::MAX, |byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
                });
                if end == at || !is_value {
                    // A text may hold several documents, one after another.
                    if levels.is_empty() && matches!(byte, b'{' | b'[') && next == Next::Comma {
                        next = Next::Value;
                        continue;
                    }
                    return false;
                }
                if hidden.is_none() {
                    value(search, levels.last_mut(), at..end, None);
                }
                (at, next, any) = (end, Next::Comma, true);
            }
            _ => return false,
        }
    }
}

/// The place of the string that begins at `at`, without its quotes, and whether it has escapes.
fn string(bytes: &[u8], at: usize) -> Option<(Range<usize>, bool)> {
    let (start, mut from, mut escaped) = (at + 1, at + 1, false);
    loop {
        let quote = find(b'"', bytes, from)?;
        let slashes = quote - behind(bytes, quote, quote - from, |byte| byte == b'\\');
        escaped |= slashes > 0;
        if slashes % 2 == 0 {
            escaped |= bytes[start..quote].contains(&b'\\');
            count(quote - start);
            return Some((start..quote, escaped));
        }
        from = quote + 1;
    }
}

/// Searches a value. For a string, `string` says whether it has escapes. For a number, a boolean or `null` it is `None`.
fn value(search: &mut Search<'_>, level: Option<&mut Level>, place: Range<usize>, string: Option<bool>) {
    let bytes = search.bytes;
    let text = &bytes[place.clone()];
    let is_number =
        string.is_none() && text.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-');
    if string.is_none() && !is_number {
        return;
    }
    if let Some(level) = level.filter(|level| level.object) {
        if let Some(rule) = level.rule
            && rule.hides(text)
            && !text.is_empty()
        {
            return member(search, place, is_number, rule, level.member.clone());
        }
        let name = &bytes[level.member.clone()];
        if string.is_some() && is_name_of(name) {
            let rule = search.rules.rule(text, false);
            if rule.treatment != Treatment::Leave {
                level.named = Some((rule, place.clone()));
            }
        } else if is_value_of(name) && !text.is_empty() {
            level.value = Some((place.clone(), is_number));
        }
    }
    match string {
        Some(escaped) => inner(search, place, escaped),
        None => {
            let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            let treatment = search.rules.cards;
            if treatment != Treatment::Leave && number.is_some_and(cards::is_card) {
                search.add(Finding {
                    place,
                    treatment,
                    evidence: Evidence::Shape("card"),
                    quoted: true,
                    decoded: None,
                });
            }
        }
    }
}

/// Hides the value of a member.
fn member(search: &mut Search<'_>, place: Range<usize>, quoted: bool, rule: Rule, name: Range<usize>) {
    let (treatment, evidence) = (rule.treatment, Evidence::Named(name));
    let text = &search.bytes[place.clone()];
    let decoded = (treatment == Treatment::Hash && !quoted && text.contains(&b'\\'))
        .then(|| decode_json(text).text.into());
    search.add(Finding { place, treatment, evidence, quoted, decoded });
}

/// Searches a string, which may contain a document.
fn inner(search: &mut Search<'_>, place: Range<usize>, escaped: bool) {
    let bytes = search.bytes;
    if !search.reads_deeper() {
        return;
    }
    let (from, text) = (place.start, &bytes[place]);
    if escaped {
        let decoded = decode_json(text);
        let format = format_of(&decoded.text);
        search.within(&decoded.text, format, |place| decoded.place(place).map(|place| from + place));
    } else {
        search.within(text, format_of(text), |place| Some(from + place));
    }
}

/// The format of a text, by its first byte.
pub(super) fn format_of(text: &[u8]) -> Format {
    match text.trim_ascii_start() {
        [b'{' | b'[', ..] => Format::Json,
        _ => Format::Text,
    }
}

//! Names with no sign after them: `("password", "…")`, `["token", "…"]`, `--password …`.

use std::ops::Range;

use super::names::Rule;
use super::settings::Treatment;
use super::steps::{ahead, behind, find};
use super::text::Search;
use super::values::{Place, is_blank, is_name, is_quote};

/// A name is no longer.
const BACK: usize = 128;

impl Search<'_> {
    /// Finds what stands beside the name of a secret.
    pub(super) fn beside(&mut self) {
        if self.traits.pair {
            self.pairs_of_two();
        }
        if self.traits.argument {
            self.arguments();
        }
    }

    fn secret_name(&self, name: &[u8]) -> Option<Rule> {
        let rule = self.rules.rule(name, false);
        (rule.treatment != Treatment::Leave).then_some(rule)
    }

    /// Two texts in brackets, as `Debug` and JSON have pairs.
    fn pairs_of_two(&mut self) {
        let bytes = self.bytes;
        let mut from = 0;
        while let Some(comma) = find(b',', bytes, from) {
            from = comma + 1;
            let Some(quote) = comma.checked_sub(1).map(|at| bytes[at]).filter(|byte| is_quote(*byte)) else { continue };
            let end = behind(bytes, comma - 1, 8, |byte| byte == b'\\');
            let name = behind(bytes, end, BACK, |byte| byte != quote && byte != b'\n' && byte != b'\\');
            let open = behind(bytes, name, 9, |byte| byte == quote || byte == b'\\');
            if name == end || open == name || !bytes[name..end].iter().all(|byte| is_name(*byte) || *byte == b' ') {
                continue;
            }
            let is_argument = bytes[name..end].starts_with(b"--");
            let before = behind(bytes, open, 8, |byte| is_blank(byte) || byte == b'\n' || byte == b'b');
            let in_brackets = before > 0 && matches!(bytes[before - 1], b'(' | b'[');
            if !(in_brackets || is_argument) {
                continue;
            }
            let Some(rule) = self.secret_name(&bytes[name..end]) else { continue };
            let start = ahead(bytes, comma + 1, 64, |byte| byte.is_ascii_whitespace());
            let open = ahead(bytes, start, 9, |byte| matches!(byte, b'\\' | b'b'));
            let value = if bytes.get(open).is_some_and(|byte| is_quote(*byte)) {
                self.value(if bytes[start] == b'b' { open } else { start }, Place::Colon).place
            } else if is_argument {
                continue;
            } else {
                start..ahead(bytes, start, BACK, |byte| !matches!(byte, b')' | b']' | b',' | b'\n'))
            };
            let after = ahead(bytes, value.end, 16, |byte| is_quote(byte) || byte == b'\\');
            let after = ahead(bytes, after, 64, |byte| byte.is_ascii_whitespace() || byte == b',');
            let closes = bytes.get(after).is_none_or(|byte| matches!(byte, b')' | b']'));
            from = from.max(value.end);
            if (closes || is_argument) && !value.is_empty() && rule.hides(&bytes[value.clone()]) {
                self.named(value, rule, name..end);
            }
        }
    }

    /// What follows an argument that is the name of a secret.
    fn arguments(&mut self) {
        let bytes = self.bytes;
        let mut from = 0;
        while let Some(dash) = find(b'-', bytes, from) {
            let start = ahead(bytes, dash, usize::MAX, |byte| byte == b'-');
            from = start.max(dash + 1);
            let begins = dash == 0 || matches!(bytes[dash - 1], b' ' | b'\t' | b'\n' | b'"' | b'\'' | b'`' | b'=' | b'[' | b'(');
            if start - dash != 2 || !begins {
                continue;
            }
            let end = ahead(bytes, start, BACK, is_name);
            let gap = ahead(bytes, end, 2, is_blank);
            // Two blanks separate an argument from what a help text says about it.
            if start == end || gap != end + 1 {
                continue;
            }
            let Some(rule) = self.secret_name(&bytes[start..end]) else { continue };
            let word = ahead(bytes, gap, 64, |byte| byte.is_ascii_alphabetic());
            let begins = bytes.get(gap).copied().unwrap_or(b'-');
            let sentence = bytes.get(word) == Some(&b' ')
                && matches!(&bytes[gap..word], b"is" | b"or" | b"and" | b"was" | b"must" | b"flag" | b"option" | b"for" | b"to" | b"with" | b"cannot" | b"requires" | b"instead" | b"argument" | b"in" | b"if" | b"has");
            if matches!(begins, b'-' | b'<' | b'[' | b'$' | b'{' | b'|' | b')' | b']') || sentence {
                continue;
            }
            let place = if is_quote(begins) {
                self.value(gap, Place::Assigned).place
            } else {
                gap..ahead(bytes, gap, usize::MAX, |byte| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'`'))
            };
            if !place.is_empty() && rule.hides(&bytes[place.clone()]) && !is_meta(bytes, &bytes[start..end], &place) {
                from = place.end;
                self.named(place, rule, start..end);
            }
        }
    }
}

/// Whether this stands for a value in a help text: `[--token TOKEN]`, `--token string   Token of the API`.
fn is_meta(bytes: &[u8], name: &[u8], place: &Range<usize>) -> bool {
    let value = &bytes[place.clone()];
    let value = value.strip_suffix(b"]").unwrap_or(value);
    let last = name.rsplit(|byte| matches!(byte, b'-' | b'_')).next().unwrap_or(name);
    let table = bytes[place.end..].starts_with(b"  ");
    let upper = |name: &[u8]| value == name.to_ascii_uppercase();
    upper(name) || upper(last) || (table && matches!(value, b"string" | b"str" | b"text" | b"value" | b"file"))
}

//! Names with no sign after them: `("password", "…")`, `["token", "…"]`, `--password …`.

use std::ops::Range;

use super::rule::Rule;
use super::settings::Treatment;
use super::steps::{ahead, find, find3};
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
        while let Some(bracket) = find3([b'(', b'[', b'['], bytes, from) {
            from = bracket + 1;
            let Some((name, after)) = self.text_of_list(from) else { continue };
            let Some(rule) = self.secret_name(&bytes[name.clone()]) else { continue };
            let start = ahead(bytes, after, 64, |byte| byte.is_ascii_whitespace());
            let open = ahead(bytes, start, 9, |byte| matches!(byte, b'\\' | b'b'));
            let value = if bytes.get(open).is_some_and(|byte| is_quote(*byte)) {
                self.value(if bytes[start] == b'b' { open } else { start }, Place::Colon).place
            } else if bytes[start..].starts_with(b"Some(\"") {
                self.value(start + "Some(".len(), Place::Colon).place
            } else {
                // A number; other values without quotes are code.
                start..ahead(bytes, start, BACK, |byte| byte.is_ascii_digit())
            };
            let after = ahead(bytes, value.end, 16, |byte| is_quote(byte) || byte == b'\\');
            let after = ahead(bytes, after, 64, |byte| byte.is_ascii_whitespace() || byte == b',');
            let after = after + usize::from(bytes[start..].starts_with(b"Some("));
            let closes = bytes.get(after).is_none_or(|byte| matches!(byte, b')' | b']'));
            from = from.max(value.end);
            if closes && !value.is_empty() && rule.hides(&bytes[value.clone()]) {
                self.named(value, rule, name);
            }
        }
    }

    /// A short text in quotes that begins at `from` and has a comma after it: where it stands, and where the comma ends.
    fn text_of_list(&self, from: usize) -> Option<(Range<usize>, usize)> {
        let bytes = self.bytes;
        let quote = ahead(bytes, from, 8, |byte| byte == b'\\');
        let sign = *bytes.get(quote).filter(|byte| is_quote(**byte))?;
        let end = ahead(bytes, quote + 1, BACK, |byte| is_name(byte) || byte == b' ');
        let closed = ahead(bytes, end, 8, |byte| byte == b'\\');
        let is_text = bytes.get(closed) == Some(&sign) && bytes.get(closed + 1) == Some(&b',');
        is_text.then_some((quote + 1..end, closed + 2))
    }

    /// What follows an argument that is the name of a secret.
    fn arguments(&mut self) {
        let bytes = self.bytes;
        let mut from = 0;
        while let Some(dash) = find(b'-', bytes, from) {
            let start = ahead(bytes, dash, usize::MAX, |byte| byte == b'-');
            from = start.max(dash + 1);
            let begins = dash == 0
                || matches!(bytes[dash - 1], b' ' | b'\t' | b'\n' | b'"' | b'\'' | b'`' | b'=' | b'[' | b'(');
            if start - dash != 2 || !begins {
                continue;
            }
            let end = ahead(bytes, start, BACK, is_name);
            // In a list of arguments each is a text of its own.
            let list = dash.checked_sub(1).filter(|quote| is_quote(bytes[*quote]));
            if let Some(quote) = list
                && let Some((name, after)) = self.text_of_list(quote)
            {
                let value = ahead(bytes, after, 64, |byte| byte.is_ascii_whitespace());
                if let Some(rule) = self.secret_name(&bytes[name.clone()])
                    && bytes.get(value).is_some_and(|byte| is_quote(*byte))
                {
                    let value = self.value(value, Place::Colon).place;
                    if !value.is_empty() && rule.hides(&bytes[value.clone()]) {
                        from = value.end;
                        self.named(value, rule, name);
                    }
                }
                continue;
            }
            let gap = ahead(bytes, end, 2, is_blank);
            // Two blanks separate an argument from what a help text says about it.
            if start == end || gap != end + 1 {
                continue;
            }
            let Some(rule) = self.secret_name(&bytes[start..end]) else { continue };
            let word = ahead(bytes, gap, 64, |byte| byte.is_ascii_alphabetic());
            let begins = bytes.get(gap).copied().unwrap_or(b'-');
            let sentence = bytes.get(word) == Some(&b' ')
                && matches!(
                    &bytes[gap..word],
                    b"is"
                        | b"or"
                        | b"and"
                        | b"was"
                        | b"must"
                        | b"flag"
                        | b"option"
                        | b"for"
                        | b"to"
                        | b"with"
                        | b"cannot"
                        | b"requires"
                        | b"instead"
                        | b"argument"
                        | b"in"
                        | b"if"
                        | b"has"
                );
            if matches!(begins, b'-' | b'<' | b'[' | b'$' | b'{' | b'|' | b')' | b']') || sentence {
                continue;
            }
            let place = if is_quote(begins) {
                self.value(gap, Place::Assigned).place
            } else {
                gap..ahead(bytes, gap, usize::MAX, |byte| {
                    !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'`')
                })
            };
            if !place.is_empty()
                && rule.hides(&bytes[place.clone()])
                && !is_meta(bytes, &bytes[start..end], &place)
            {
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
    upper(name)
        || upper(last)
        || (table && matches!(value, b"string" | b"str" | b"text" | b"value" | b"file"))
}

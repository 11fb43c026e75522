//! Command-line arguments: `--password x`, `-token x`, and short ones of well-known programs, such as `mysql -px`.

use std::ops::Range;

use super::bytes::{is_blank, is_name, is_quote};
use super::quoted::BACK;
use super::rule::Rule;
use super::search::Search;
use super::steps::{ahead, find};
use super::values::Context;

/// How a short argument holds its secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Short {
    /// The secret follows directly: `-psecret`.
    Glued,
    /// The secret follows directly or after a blank.
    Secret,
    /// A name, this sign, and the secret follow: `-u user:secret`.
    After(u8),
}

/// Programs, the letters of their arguments that hold secrets, and how.
const PROGRAMS: &[(&[u8], &[u8], Short)] = &[
    (b"7z", b"p", Short::Glued),
    (b"bcp", b"P", Short::Secret),
    (b"cqlsh", b"p", Short::Secret),
    (b"curl", b"uU", Short::After(b':')),
    (b"http", b"a", Short::After(b':')),
    (b"https", b"a", Short::After(b':')),
    (b"ldapadd", b"w", Short::Secret),
    (b"ldapmodify", b"w", Short::Secret),
    (b"ldapsearch", b"w", Short::Secret),
    // `docker login`, `oc login` and others.
    (b"login", b"p", Short::Secret),
    (b"mariadb", b"p", Short::Glued),
    (b"mongo", b"p", Short::Secret),
    (b"mongodump", b"p", Short::Secret),
    (b"mongosh", b"p", Short::Secret),
    (b"mysql", b"p", Short::Glued),
    (b"mysqladmin", b"p", Short::Glued),
    (b"mysqldump", b"p", Short::Glued),
    (b"redis-cli", b"a", Short::Secret),
    (b"smbclient", b"U", Short::After(b'%')),
    (b"sqlcmd", b"P", Short::Secret),
    (b"sshpass", b"p", Short::Secret),
    (b"unzip", b"P", Short::Secret),
    (b"zip", b"P", Short::Secret),
];

/// Long arguments of `curl` with a name, a colon and a secret.
const USERS: &[&[u8]] = &[b"user", b"proxy-user"];

/// Words after an argument in a sentence about it: `--token is required`.
const WORDS: &[&[u8]] = &[
    b"and",
    b"argument",
    b"cannot",
    b"flag",
    b"for",
    b"has",
    b"if",
    b"in",
    b"instead",
    b"is",
    b"must",
    b"option",
    b"or",
    b"requires",
    b"to",
    b"was",
    b"with",
];

/// The program of the line that is read.
#[derive(Default)]
struct Line {
    /// The text before this place was read.
    read: usize,
    program: Option<&'static (&'static [u8], &'static [u8], Short)>,
}

impl Line {
    /// The program that the line calls. Reads the line up to `to`.
    fn program(&mut self, bytes: &[u8], to: usize) -> Option<(&'static [u8], &'static [u8], Short)> {
        while self.read < to {
            let start = self.read;
            let end = ahead(bytes, start, to - start, is_name);
            let word = &bytes[start..end];
            let word = word.strip_suffix(b".exe").unwrap_or(word);
            // `https://…` does not call a program; `"mysql" "-p…"` does, because `Debug` prints commands like this.
            let is_word = bytes.get(end).is_some_and(|byte| is_blank(*byte) || is_quote(*byte));
            if let Some(program) = PROGRAMS.iter().find(|(name, ..)| is_word && *name == word) {
                self.program = Some(program);
            }
            // The end of a command. A single `&` may be part of a URL.
            if matches!(bytes.get(end..), Some([b'\n' | b';' | b'|', ..] | [b'&', b'&', ..])) {
                self.program = None;
            }
            self.read = end + 1;
        }
        self.program.copied()
    }
}

impl Search<'_> {
    /// Finds values after arguments that are names of secrets.
    pub(super) fn arguments(&mut self) {
        let bytes = self.bytes;
        let (mut from, mut line) = (0, Line::default());
        while let Some(dash) = find(b'-', bytes, from) {
            let start = ahead(bytes, dash, usize::MAX, |byte| byte == b'-');
            from = start.max(dash + 1);
            let begins = dash == 0
                || matches!(bytes[dash - 1], b' ' | b'\t' | b'\n' | b'"' | b'\'' | b'`' | b'=' | b'[' | b'(');
            if !begins || start - dash > 2 {
                continue;
            }
            let name = start..ahead(bytes, start, BACK, is_name);
            let found = if start - dash == 2 {
                self.in_list(dash).or_else(|| self.long(name.clone())).or_else(|| {
                    let is_user = USERS.contains(&&bytes[name.clone()]);
                    let curl = is_user && line.program(bytes, dash).is_some_and(|(name, ..)| name == b"curl");
                    let gap = ahead(bytes, name.end, 1, |byte| is_blank(byte) || byte == b'=');
                    (curl && gap > name.end).then(|| self.after(gap, b':')).flatten()
                })
            } else {
                let long = if name.len() > 1 { self.long(name.clone()) } else { None };
                let program = if long.is_none() { line.program(bytes, dash) } else { None };
                long.or_else(|| program.and_then(|(_, letters, short)| self.short(letters, short, &name)))
            };
            from = from.max(found.unwrap_or(0));
        }
    }

    /// Hides the value in a list of arguments: `"--password", "…"`, or with a blank, as `Debug` prints commands.
    /// Returns the end of the value.
    fn in_list(&mut self, dash: usize) -> Option<usize> {
        let bytes = self.bytes;
        let quote = dash.checked_sub(1).filter(|quote| is_quote(bytes[*quote]))?;
        let (name, after) = self.text_of_list(quote, b", ")?;
        let value = ahead(bytes, after, 64, |byte| byte.is_ascii_whitespace());
        let rule = self.is_secret(&bytes[name.clone()])?;
        if !bytes.get(value).is_some_and(|byte| is_quote(*byte)) {
            return None;
        }
        let value = self.value(value, Context::Colon).place;
        self.take(value, rule, name)
    }

    /// Hides the value of a long argument: `--password …`. Returns its end.
    fn long(&mut self, name: Range<usize>) -> Option<usize> {
        let bytes = self.bytes;
        let gap = ahead(bytes, name.end, 2, is_blank);
        // Two blanks separate an argument from its description in a help text.
        if name.is_empty() || gap != name.end + 1 {
            return None;
        }
        let rule = self.is_secret(&bytes[name.clone()])?;
        let begins = bytes.get(gap).copied().unwrap_or(b'-');
        if matches!(begins, b'-' | b'<' | b'[' | b'$' | b'{' | b'|' | b')' | b']') || is_sentence(bytes, gap)
        {
            return None;
        }
        let value = self.argument(gap);
        if is_meta(bytes, &bytes[name.clone()], &value) {
            return None;
        }
        self.take(value, rule, name)
    }

    /// Hides the value of a short argument: `-p…`. Returns its end.
    fn short(&mut self, letters: &[u8], short: Short, name: &Range<usize>) -> Option<usize> {
        let bytes = self.bytes;
        if !letters.contains(bytes.get(name.start)?) {
            return None;
        }
        let start = name.start + 1;
        let gap = if name.len() > 1 { start } else { next_argument(bytes, start) };
        match short {
            Short::After(sign) => self.after(gap, sign),
            Short::Glued if gap > start => None,
            _ => {
                let value = self.argument(gap);
                let rule = Rule::MASK;
                let begins = bytes.get(value.start).copied().unwrap_or(b'-');
                let sentence = gap > start && is_sentence(bytes, gap);
                if matches!(begins, b'-' | b'<' | b'[' | b'$' | b'{' | b'|') || sentence {
                    return None;
                }
                self.take(value, rule, name.start..start)
            }
        }
    }

    /// Hides the secret after a name and `sign` at `from`. Returns its end.
    fn after(&mut self, from: usize, sign: u8) -> Option<usize> {
        let value = self.argument(from);
        let place = find(sign, &self.bytes[..value.end], value.start)?;
        // `-u 1000:1000` is a user id and a group id.
        let secret = place + 1..value.end;
        if self.bytes[value.start..value.end].iter().all(|byte| byte.is_ascii_digit() || *byte == sign) {
            return None;
        }
        self.take(secret, Rule::MASK, value.start..place)
    }

    /// The argument that begins at `from`, without its quotes.
    fn argument(&mut self, from: usize) -> Range<usize> {
        let bytes = self.bytes;
        if bytes.get(from).is_some_and(|byte| is_quote(*byte)) {
            return self.value(from, Context::Assigned).place;
        }
        from..ahead(bytes, from, usize::MAX, |byte| {
            !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'`')
        })
    }

    /// Hides `value` if `rule` says so. Returns its end.
    fn take(&mut self, value: Range<usize>, rule: Rule, name: Range<usize>) -> Option<usize> {
        if value.is_empty() || !rule.hides(&self.bytes[value.clone()]) {
            return None;
        }
        let end = value.end;
        self.named(value, rule, name);
        Some(end)
    }
}

/// The start of the argument that follows the one that ends at `end`: after a blank, or in its own quotes in a list.
fn next_argument(bytes: &[u8], end: usize) -> usize {
    let Some(quote) = bytes.get(end).filter(|byte| is_quote(**byte)) else {
        return ahead(bytes, end, 1, is_blank);
    };
    let next = ahead(bytes, end + 1, 2, |byte| matches!(byte, b',' | b' '));
    if bytes.get(next) == Some(quote) { next } else { end }
}

/// Whether a sentence continues at `from`: `--token is required`.
fn is_sentence(bytes: &[u8], from: usize) -> bool {
    let word = ahead(bytes, from, 64, |byte| byte.is_ascii_alphabetic());
    matches!(bytes.get(word), Some(b' ')) && WORDS.binary_search(&&bytes[from..word]).is_ok()
}

/// Whether this is a placeholder in a help text: `[--token TOKEN]`, `--token string   Token of the API`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted() {
        assert!(WORDS.is_sorted());
    }
}

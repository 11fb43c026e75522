//! Splits a message into words and what separates them.

use std::net::{IpAddr, SocketAddr};

use crate::base::cut::cut;

/// A part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// White space.
    Space,
    Mark(&'a str),
    Word(&'a str),
    /// A URL, a file path, or the address of a host.
    Address(&'a str),
    /// The opening quote, and the text inside.
    Quoted(&'a str, &'a str),
    /// The whole with its brackets or parentheses, and the text inside.
    Bracketed(&'a str, &'a str),
}

/// The maximum number of bytes that are searched for a closing quote or bracket.
const LONGEST: usize = 2 * 1024;

/// The maximum number of bytes of a word, and of a host with its port. A longer word becomes several. Without a limit,
/// a hostile message would take time in proportion to the square of its length.
const LONGEST_WORD: usize = 512;

/// The maximum number of bytes of the scheme of a URL, with `://`.
const LONGEST_SCHEME: usize = 64;

/// The maximum number of levels of nested brackets that are searched for the closing one.
const DEEPEST: u32 = 16;

/// The tokens of a message.
pub(super) struct Tokens<'a> {
    rest: &'a str,
    /// The last character before `rest`.
    before: char,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(message: &'a str) -> Self {
        Self { rest: message, before: ' ' }
    }

    /// The text after the last token.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    /// Skips the next `length` bytes.
    pub(super) fn skip(&mut self, length: usize) {
        self.cut(length);
    }

    fn cut(&mut self, length: usize) -> &'a str {
        let (token, rest) = self.rest.split_at(length);
        self.before = token.chars().next_back().unwrap_or(self.before);
        self.rest = rest;
        token
    }

    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        let first = self.rest.chars().next()?;
        if first.is_whitespace() {
            let end = self.rest.find(|c: char| !c.is_whitespace()).unwrap_or(self.rest.len());
            self.cut(end);
            return Some(Token::Space);
        }
        if let Some(length) = address(self.rest) {
            return Some(Token::Address(self.cut(length)));
        }
        if matches!(first, '"' | '`' | '\'' | '“' | '‘' | '«')
            && let Some(length) = self.quoted(first)
        {
            let quote = first.len_utf8();
            let whole = self.cut(length);
            let end = whole.chars().next_back().map_or(quote, char::len_utf8);
            return Some(Token::Quoted(&whole[..quote], &whole[quote..whole.len() - end]));
        }
        if matches!(first, '[' | '(')
            && let Some(length) = closed(self.rest, first)
        {
            let whole = self.cut(length);
            return Some(Token::Bracketed(whole, &whole[1..whole.len() - 1]));
        }
        if is_mark(first) {
            let double = ["==", "=>", "!=", ">=", "<=", "->"].iter().any(|mark| self.rest.starts_with(mark));
            return Some(Token::Mark(self.cut(if double { 2 } else { first.len_utf8() })));
        }
        let text = cut(self.rest, LONGEST_WORD);
        let end = text.find(|c: char| c.is_whitespace() || is_mark(c)).unwrap_or(text.len());
        // Punctuation at the end is not part of the word.
        let word = text[..end].trim_end_matches(['.', ':', '\'', '-']);
        let length = if word.is_empty() { first.len_utf8() } else { word.len() };
        let word = self.cut(length);
        Some(if word.chars().any(char::is_alphanumeric) { Token::Word(word) } else { Token::Mark(word) })
    }

    /// The length of a quoted text that begins here. An apostrophe within a word is not a quote.
    fn quoted(&self, first: char) -> Option<usize> {
        let last = match first {
            '“' => '”',
            '‘' => '’',
            '«' => '»',
            same => same,
        };
        if self.before.is_alphanumeric() {
            return None;
        }
        let text = cut(self.rest, LONGEST);
        let mut escaped = false;
        let mut inside = text.char_indices().skip(1).peekable();
        while let Some((at, c)) = inside.next() {
            let ends = c == last
                && !escaped
                && (last != '\'' || !inside.peek().is_some_and(|(_, next)| next.is_alphanumeric()));
            if ends {
                return Some(at + last.len_utf8());
            }
            escaped = c == '\\' && !escaped;
        }
        None
    }
}

fn is_mark(c: char) -> bool {
    matches!(
        c,
        ',' | ';'
            | '('
            | ')'
            | '{'
            | '}'
            | '['
            | ']'
            | '<'
            | '>'
            | '='
            | '|'
            | '!'
            | '?'
            | '"'
            | '`'
            | '%'
            | '&'
            | '*'
            | '“'
            | '”'
            | '«'
            | '»'
    )
}

/// The length of a bracketed text that begins here, nested brackets included.
fn closed(text: &str, first: char) -> Option<usize> {
    let last = if first == '[' { ']' } else { ')' };
    let mut open = 0_u32;
    for (at, c) in cut(text, LONGEST).char_indices() {
        if c == first {
            open += 1;
            if open > DEEPEST {
                return None;
            }
        } else if c == last {
            open -= 1;
            if open == 0 {
                return Some(at + 1);
            }
        }
    }
    None
}

/// The length of an address that begins here: of a URL, a path, or a host with its port.
fn address(text: &str) -> Option<usize> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '`' | '\'' | ',' | ';' | ')' | '>');
    let whole = |text: &'_ str| text.find(ends).unwrap_or(text.len());
    let trimmed = |length: usize| text[..length].trim_end_matches(['.', ':', '!', '?']);
    let start = cut(text, LONGEST_SCHEME);
    if let Some((scheme, _)) = start[..whole(start)].split_once("://") {
        let is_scheme =
            !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        return is_scheme.then(|| trimmed(whole(text)).len());
    }
    let has_drive = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_path = ["/", "./", "../", "~/"].iter().any(|start| text.starts_with(start))
        || (has_drive && text.as_bytes().get(1) == Some(&b':') && text.as_bytes().get(2) == Some(&b'\\'));
    if is_path {
        return Some(trimmed(whole(text)).len());
    }
    let host = trimmed(whole(cut(text, LONGEST_WORD)));
    let is_ip = host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok();
    let has_port = || {
        let (host, port) = host.rsplit_once(':')?;
        let is_host =
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        (is_host && port.parse::<u16>().is_ok()).then_some(())
    };
    (is_ip || has_port().is_some()).then_some(host.len())
}

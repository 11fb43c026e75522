//! The shape of a message: what all failures of one cause have in common.
//!
//! Messages of one cause differ in ids, numbers, names, addresses, paths, times and lists. Each of these becomes a `#`, and
//! a list becomes one `#`. The cause stays: words, codes such as an HTTP status, `os error 111` and `SQLSTATE 40001`, and
//! names that belong to the program, such as that of a column.
//!
//! The shape depends on the message alone, so that processes and versions of a service agree on it. So the words that vary
//! are not learned; `words.rs` lists the words that do not. A word in no list is a name if it follows a word such as
//! `customer` or `for`, or if it is capitalised within a sentence. Otherwise it stays, so that a message in another
//! language keeps its words.

use super::tokens::{Token, Tokens};
use super::words::{
    AFTER_STATUS, ANSWERS, CODES, COMMON, KEYS, NO_LISTS, PREPOSITIONS, REASONS, SCHEMA, SLOTS, TECHNICAL,
    UNITS,
};

/// The shape of `message`.
pub(in crate::dead_letter) fn shape(message: &str) -> String {
    let mut shape = Shape::default();
    shape.read(message, 0);
    shape.out
}

/// The maximum number of levels of nested quotes and brackets that are read.
const DEEPEST: u8 = 4;

/// The shape of the part that has been read.
#[derive(Default)]
struct Shape<'a> {
    out: String,
    /// The last word, kept or replaced.
    last: &'a str,
    /// The marks since the last word.
    marks: &'a str,
    last_kind: WordKind,
    /// The end of the last `#`, as long as only separators of list items followed it.
    open_list: Option<usize>,
    /// How many words in lower case may still belong to the last replaced name.
    name_words_left: u8,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum WordKind {
    #[default]
    Kept,
    /// A code, which was kept.
    Code,
    /// A number, which was replaced.
    Number,
    /// A name, which was replaced.
    Name,
}

impl<'a> Shape<'a> {
    fn read(&mut self, message: &'a str, depth: u8) {
        let mut tokens = Tokens::new(message);
        while let Some(token) = tokens.next() {
            match token {
                Token::Space => self.space(),
                Token::Mark(mark) => {
                    self.mark(mark);
                    if let Some(list) = self.list_after(mark, tokens.rest()) {
                        tokens.skip(list);
                        self.space();
                        self.replace(WordKind::Name);
                    }
                }
                Token::Word(word) => self.word(word, tokens.rest()),
                Token::Address(_) => self.replace(WordKind::Number),
                Token::Quoted(mark, inside) => self.quoted(mark, inside, tokens.rest(), depth),
                Token::Bracketed(whole, inside) => self.bracketed(whole, inside, depth),
            }
        }
    }

    fn space(&mut self) {
        if !self.out.ends_with(' ') {
            self.out.push(' ');
        }
    }

    fn mark(&mut self, mark: &'a str) {
        self.marks = mark;
        if !matches!(mark, "," | ";" | ":" | "/" | "|" | "&" | "+" | "=" | "-" | "%") {
            self.open_list = None;
        }
        // The unit of a number.
        if !(mark == "%" && self.last_kind == WordKind::Number) {
            self.out.push_str(mark);
        }
    }

    fn keep(&mut self, word: &str, kind: WordKind) {
        self.out.push_str(word);
        self.last_kind = kind;
        self.open_list = None;
    }

    /// Writes a `#` instead of a word. The items of a list share one.
    fn replace(&mut self, kind: WordKind) {
        match self.open_list {
            Some(end) => self.out.truncate(end),
            None => self.out.push('#'),
        }
        self.open_list = Some(self.out.len());
        self.last_kind = kind;
    }

    fn word(&mut self, word: &'a str, rest: &str) {
        let joins = self.open_list.is_some() && matches!(word, "and" | "or");
        let counts = self.last_kind == WordKind::Number && self.marks.is_empty();
        if joins {
            self.out.push_str(word);
        } else if counts && UNITS.has(word) {
            // `8 ms` and `2 s` have one shape.
            self.out.truncate(self.out.trim_end().len());
        } else if self.is_code(word, rest) {
            self.keep(word, WordKind::Code);
        } else if has_digit(word) && !TECHNICAL.has(word) {
            let is_number = !word.contains(char::is_alphabetic);
            self.replace(if is_number { WordKind::Number } else { WordKind::Name });
        } else if self.is_name(word, rest) {
            self.replace(WordKind::Name);
        } else if counts {
            // `1 attempt` and `3 attempts`.
            let single = word.strip_suffix('s').filter(|single| single.len() > 3);
            self.keep(single.unwrap_or(word), WordKind::Kept);
        } else {
            self.keep(word, WordKind::Kept);
        }
        self.last = word;
        self.marks = "";
    }

    /// Whether `word` is a code, which belongs to the cause.
    fn is_code(&self, word: &str, rest: &str) -> bool {
        let near = matches!(self.marks, "" | ":" | "=" | "(");
        if !has_digit(word) || !near {
            return false;
        }
        if word.len() > 5 {
            return CODES.has(self.last) && word.starts_with("0x") && word.len() <= 10;
        }
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        let status = word.len() == 3 && is_number && matches!(word.as_bytes()[0], b'1'..=b'5');
        let next = rest.trim_start();
        let next = &next[..next.find(|c: char| !c.is_alphanumeric()).unwrap_or(next.len())];
        let things = rest.starts_with(' ') && next.starts_with(char::is_lowercase) && !AFTER_STATUS.has(next);
        let word_of_code = is_number || word.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
        (CODES.has(self.last) && word_of_code && !things)
            || (self.last_kind == WordKind::Code && self.marks == "(" && word.len() == 5 && word_of_code)
            || (status && ANSWERS.has(self.last) && !things)
            || (status && next.starts_with(char::is_uppercase) && REASONS.has(next))
    }

    /// Whether `word` is the name of something.
    fn is_name(&mut self, word: &str, rest: &str) -> bool {
        if word.contains('@') || looks_random(word) {
            return true;
        }
        if word.contains("::") {
            return false;
        }
        if self.marks == "=" {
            return !KEYS.has(self.last);
        }
        if let Some((_, last)) = word.rsplit_once('.') {
            // `java.net.ConnectException` is part of the cause, a host or a file is not.
            return !last.starts_with(char::is_uppercase) && last.len() > 1;
        }
        if word.contains('-') {
            // `read-only` is part of the cause, `orders-db` is a name.
            return word.split('-').any(|part| !COMMON.has(part));
        }
        if !self.marks.is_empty() {
            return false;
        }
        let (after_slot, after_preposition) = (SLOTS.has(self.last), PREPOSITIONS.has(self.last));
        if COMMON.has(word) {
            // The beginning of a name, as in `to New York`.
            let next = rest.trim_start();
            let next = &next[..next.find(|c: char| !c.is_alphabetic()).unwrap_or(next.len())];
            let begins = is_capitalised(word) && is_capitalised(next) && !COMMON.has(next);
            return begins && (after_slot || after_preposition);
        }
        if has_inner_capital(word) {
            let in_capitals = !word.contains(|c: char| c.is_lowercase() || c == '_');
            return in_capitals && after_slot;
        }
        let goes_on = self.last_kind == WordKind::Name && self.open_list.is_some();
        if goes_on && self.name_words_left > 0 && !is_capitalised(word) {
            self.name_words_left -= 1;
            return true;
        }
        let within = self.last_kind != WordKind::Code && !self.last.is_empty();
        let named = after_slot || (after_preposition && self.last != "to");
        if named {
            // `of red wine`, `customer Frank van Dijk`.
            self.name_words_left = 1;
            return true;
        }
        (goes_on || within) && is_capitalised(word)
    }

    fn quoted(&mut self, mark: &'a str, inside: &'a str, rest: &str, depth: u8) {
        let is_key = rest.starts_with(':') && KEYS.has(inside);
        let is_cause = is_key
            || (self.marks.is_empty() && SCHEMA.has(self.last))
            || (matches!(self.marks, ":" | "=") && KEYS.has(self.last))
            || inside.contains("::");
        if inside.contains(char::is_whitespace) && depth < DEEPEST && is_sentence(inside) {
            self.out.push_str(mark);
            (self.last, self.marks, self.open_list) = ("", mark, None);
            self.read(inside, depth + 1);
            self.out.push_str(mark);
            self.open_list = None;
        } else if is_cause {
            self.out.push_str(mark);
            self.keep(inside, WordKind::Kept);
            self.out.push_str(mark);
        } else {
            self.replace(WordKind::Name);
        }
        (self.last, self.marks) = (inside, "");
    }

    /// Reads a part in brackets or parentheses.
    fn bracketed(&mut self, whole: &'a str, inside: &'a str, depth: u8) {
        let mut items = inside.split(',');
        let single = |item: &str| !item.trim().contains(char::is_whitespace);
        let is_list = if whole.starts_with('[') {
            let is_tag = !inside.is_empty() && inside.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
            let is_code = CODES.has(self.last) && self.marks.is_empty();
            !is_tag && !is_code && (inside.contains(',') || !is_sentence(inside))
        } else {
            let holds = self.marks == "=" || matches!(self.last, "contains" | "values" | "VALUES");
            holds || (inside.contains(',') && items.all(single))
        };
        if is_list {
            self.replace(WordKind::Name);
        } else if depth < DEEPEST {
            self.out.push_str(&whole[..1]);
            (self.marks, self.open_list) = (&whole[..1], None);
            self.read(inside, depth + 1);
            self.mark(&whole[whole.len() - 1..]);
        }
    }

    /// The length of a list of names that begins after `mark`: `missing parts: street, zip`.
    fn list_after(&self, mark: &str, rest: &str) -> Option<usize> {
        let before = self.last;
        let plural = before.ends_with('s') && !before.ends_with("ss") && !before.ends_with("us");
        if mark != ":" || !plural || NO_LISTS.has(before) || has_digit(before) {
            return None;
        }
        let end = rest.find(['.', ';', '\n', ')', '(']).unwrap_or(rest.len());
        let list = &rest[..end];
        let mut items =
            list.split(',').flat_map(|item| item.split(" and ")).flat_map(|item| item.split(" or "));
        let is_name =
            |item: &str| !item.is_empty() && item.chars().all(|c| c.is_alphanumeric() || "-_".contains(c));
        items.all(|item| is_name(item.trim())).then_some(list.trim_end().len())
    }
}

fn has_digit(word: &str) -> bool {
    word.contains(|c: char| c.is_ascii_digit())
}

fn is_capitalised(word: &str) -> bool {
    word.starts_with(char::is_uppercase) && word.chars().nth(1).is_some() && !has_inner_capital(word)
}

/// Whether there is a capital after the first letter, as in `ShareLock` and `SUPERUSER`. That of `O'Neill` does not count.
fn has_inner_capital(word: &str) -> bool {
    let before = word.chars();
    before
        .zip(word.chars().skip(1))
        .any(|(before, letter)| letter.is_uppercase() && !matches!(before, '\'' | '’'))
}

/// Whether the letters look random, as in a hash or a token.
fn looks_random(word: &str) -> bool {
    let hash = word.len() >= 8 && word.bytes().all(|byte| matches!(byte, b'a'..=b'f'));
    let case = |byte: u8| byte.is_ascii_uppercase();
    let turns = word.as_bytes().windows(2).filter(|pair| case(pair[0]) != case(pair[1])).count();
    hash || (word.len() >= 16
        && word.bytes().all(|byte| byte.is_ascii_alphabetic())
        && turns * 3 >= word.len())
}

/// Whether a quoted text is a sentence rather than a name of several words.
fn is_sentence(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|word| COMMON.has(word))
}

#[cfg(test)]
mod tests {
    use super::shape;

    /// Every pair of characters, repeated, has a shape that is not much longer than the text.
    #[test]
    fn any_message_has_a_shape() {
        let characters: Vec<char> = (' '..='~').chain(['\n', '\0', 'é', '“', '\u{202e}']).collect();
        for &one in &characters {
            for &other in &characters {
                let text: String = [one, other].iter().cycle().take(64).collect();
                let found = shape(&text);
                assert!(found.len() <= 2 * text.len() + 64, "{text:?}: {found:?}");
            }
            let long: String = std::iter::repeat_n(one, 4_096).collect();
            assert!(shape(&long).len() <= 3 * long.len());
        }
        for cut in ["\":\\", "\"C:\\", "://", "((((a", "a:\"b:'c:`d", "O'"] {
            shape(cut);
        }
    }
}

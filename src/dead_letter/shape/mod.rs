//! The shape of a message: what all failures of one cause have in common.
//!
//! Messages differ in what they speak of: ids, numbers, names, addresses, paths, times, lists. Each of these becomes a
//! `#`, and a list of them one. What went wrong stays: words, codes such as the status of HTTP, `os error 111` and
//! `SQLSTATE 40001`, and names that the program itself has, such as that of a column.
//!
//! The shape of a message depends on nothing else, so that processes and versions of a service agree on it. That rules
//! out to learn which words vary; lists of words stand in for it (`words.rs`). A word that is in none is a name after a
//! word such as `customer` or `for`, and where it has a capital within a sentence. Elsewhere it stays, so that a message
//! in another language keeps its words.

mod tokens;
mod words;

use tokens::{Token, Tokens};
use words::{
    AFTER_STATUS, ANSWERS, CODES, COMMON, KEYS, NO_LISTS, PREPOSITIONS, REASONS, SCHEMA, SLOTS, TECHNICAL,
    UNITS,
};

/// The shape of `message`.
pub(super) fn shape(message: &str) -> String {
    let mut shape = Shape::default();
    shape.take(message, 0);
    shape.out
}

/// Quotes within quotes that are looked into.
const DEEPEST: u8 = 4;

/// A shape as far as it is made.
#[derive(Default)]
struct Shape<'a> {
    out: String,
    /// The last word, kept or not, and the marks since.
    last: &'a str,
    marks: &'a str,
    /// What the last word was.
    was: Was,
    /// Where the last `#` ends, as long as only what separates the items of a list came after it.
    open_list: Option<usize>,
    /// How many words without a capital may still be a part of the name that was left out last.
    more: u8,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Was {
    #[default]
    Kept,
    /// A code that was kept.
    Code,
    /// A number that was left out.
    Number,
    /// A name that was left out.
    Name,
}

impl<'a> Shape<'a> {
    fn take(&mut self, message: &'a str, depth: u8) {
        let mut tokens = Tokens::new(message);
        while let Some(token) = tokens.next() {
            match token {
                Token::Gap => self.gap(),
                Token::Mark(mark) => {
                    self.mark(mark);
                    if let Some(list) = self.list_after(mark, tokens.rest()) {
                        tokens.skip(list);
                        self.gap();
                        self.leave_out(Was::Name);
                    }
                }
                Token::Word(word) => self.word(word, tokens.rest()),
                Token::Address(_) => self.leave_out(Was::Number),
                Token::Quoted(mark, inside) => self.quoted(mark, inside, tokens.rest(), depth),
                Token::Bracketed(whole, inside) => self.bracketed(whole, inside, depth),
            }
        }
    }

    fn gap(&mut self) {
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
        if !(mark == "%" && self.was == Was::Number) {
            self.out.push_str(mark);
        }
    }

    fn keep(&mut self, word: &str, was: Was) {
        self.out.push_str(word);
        self.was = was;
        self.open_list = None;
    }

    /// A `#` in the place of what differs, unless one stands there that a list began with.
    fn leave_out(&mut self, was: Was) {
        match self.open_list {
            Some(end) => self.out.truncate(end),
            None => self.out.push('#'),
        }
        self.open_list = Some(self.out.len());
        self.was = was;
    }

    fn word(&mut self, word: &'a str, rest: &str) {
        let joins = self.open_list.is_some() && matches!(word, "and" | "or");
        let counts = self.was == Was::Number && self.marks.is_empty();
        if joins {
            self.out.push_str(word);
        } else if counts && UNITS.has(word) {
            // `8 ms` and `2 s` are one shape.
            self.out.truncate(self.out.trim_end().len());
        } else if self.is_code(word, rest) {
            self.keep(word, Was::Code);
        } else if has_digit(word) && !TECHNICAL.has(word) {
            let is_number = !word.contains(char::is_alphabetic);
            self.leave_out(if is_number { Was::Number } else { Was::Name });
        } else if self.is_name(word, rest) {
            self.leave_out(Was::Name);
        } else if counts {
            // `1 attempt` and `3 attempts`.
            let single = word.strip_suffix('s').filter(|single| single.len() > 3);
            self.keep(single.unwrap_or(word), Was::Kept);
        } else {
            self.keep(word, Was::Kept);
        }
        self.last = word;
        self.marks = "";
    }

    /// Whether `word` is a code that says what went wrong.
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
            || (self.was == Was::Code && self.marks == "(" && word.len() == 5 && word_of_code)
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
            // `java.net.ConnectException` says what went wrong, a host and a file do not.
            return !last.starts_with(char::is_uppercase) && last.len() > 1;
        }
        if word.contains('-') {
            // `read-only` says something, `orders-db` does not.
            return word.split('-').any(|part| !COMMON.has(part));
        }
        if !self.marks.is_empty() {
            return false;
        }
        let (in_slot, after_preposition) = (SLOTS.has(self.last), PREPOSITIONS.has(self.last));
        if COMMON.has(word) {
            // The beginning of a name, as in `to New York`.
            let next = rest.trim_start();
            let next = &next[..next.find(|c: char| !c.is_alphabetic()).unwrap_or(next.len())];
            let begins = is_capitalised(word) && is_capitalised(next) && !COMMON.has(next);
            return begins && (in_slot || after_preposition);
        }
        if has_humps(word) {
            let in_capitals = !word.contains(|c: char| c.is_lowercase() || c == '_');
            return in_capitals && in_slot;
        }
        let goes_on = self.was == Was::Name && self.open_list.is_some();
        if goes_on && self.more > 0 && !is_capitalised(word) {
            self.more -= 1;
            return true;
        }
        let within = self.was != Was::Code && !self.last.is_empty();
        let named = in_slot || (after_preposition && self.last != "to");
        if named {
            // `of red wine`, `customer Frank van Dijk`.
            self.more = 1;
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
        if inside.contains(char::is_whitespace) && depth < DEEPEST && speaks(inside) {
            self.out.push_str(mark);
            (self.last, self.marks, self.open_list) = ("", mark, None);
            self.take(inside, depth + 1);
            self.out.push_str(mark);
            self.open_list = None;
        } else if is_cause {
            self.out.push_str(mark);
            self.keep(inside, Was::Kept);
            self.out.push_str(mark);
        } else {
            self.leave_out(Was::Name);
        }
        (self.last, self.marks) = (inside, "");
    }

    /// What stands in brackets or parentheses.
    fn bracketed(&mut self, whole: &'a str, inside: &'a str, depth: u8) {
        let mut items = inside.split(',');
        let single = |item: &str| !item.trim().contains(char::is_whitespace);
        let is_list = if whole.starts_with('[') {
            let is_tag = !inside.is_empty() && inside.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
            let is_code = CODES.has(self.last) && self.marks.is_empty();
            !is_tag && !is_code && (inside.contains(',') || !speaks(inside))
        } else {
            let holds = self.marks == "=" || matches!(self.last, "contains" | "values" | "VALUES");
            holds || (inside.contains(',') && items.all(single))
        };
        if is_list {
            self.leave_out(Was::Name);
        } else if depth < DEEPEST {
            self.out.push_str(&whole[..1]);
            (self.marks, self.open_list) = (&whole[..1], None);
            self.take(inside, depth + 1);
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
    word.starts_with(char::is_uppercase) && word.chars().nth(1).is_some() && !has_humps(word)
}

/// Names of types, and words in capitals: `ShareLock`, `SUPERUSER`. The one in `O'Neill` is none.
fn has_humps(word: &str) -> bool {
    let before = word.chars();
    before
        .zip(word.chars().skip(1))
        .any(|(before, letter)| letter.is_uppercase() && !matches!(before, '\'' | '’'))
}

/// Whether it is a text of letters by chance: a hash, or a token.
fn looks_random(word: &str) -> bool {
    let hash = word.len() >= 8 && word.bytes().all(|byte| matches!(byte, b'a'..=b'f'));
    let case = |byte: u8| byte.is_ascii_uppercase();
    let turns = word.as_bytes().windows(2).filter(|pair| case(pair[0]) != case(pair[1])).count();
    hash || (word.len() >= 16
        && word.bytes().all(|byte| byte.is_ascii_alphabetic())
        && turns * 3 >= word.len())
}

/// Whether a text in quotes says something, or is a name of several words.
fn speaks(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|word| COMMON.has(word))
}

#[cfg(test)]
mod tests {
    use super::shape;

    /// Runs of every byte, and of every two signs, have an end and come to no more than they were.
    #[test]
    fn any_message_has_a_shape() {
        let signs: Vec<char> = (' '..='~').chain(['\n', '\0', 'é', '“', '\u{202e}']).collect();
        for &one in &signs {
            for &other in &signs {
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

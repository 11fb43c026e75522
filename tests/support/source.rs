//! The package's own source, in tokens: what a comment says is not code.

#![allow(dead_code, unreachable_pub)] // Each test uses its part.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The root of the package.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the package, as text.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files below a folder, by their path in it.
pub fn rust_files(folder: &str) -> Vec<PathBuf> {
    let (folder, mut open, mut files) = (root().join(folder), vec![root().join(folder)], Vec::new());
    while let Some(next) = open.pop() {
        let entries = fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display()));
        for path in entries.map(|entry| entry.expect("an entry of a folder").path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path.strip_prefix(&folder).expect("a path below the folder").to_owned());
            }
        }
    }
    files.sort();
    files
}

/// A piece of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A name, a keyword, a number.
    Word(String),
    /// What stands between the quotes of a string.
    Text(String),
    /// `::`
    Path,
    /// Any other sign.
    Sign(char),
}

impl Token {
    /// Whether it is this word.
    pub fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own == word)
    }
}

/// The tokens of a file, each with its line.
pub fn tokens(text: &str) -> Vec<(usize, Token)> {
    let mut reader = Reader { rest: text, line: 1 };
    let mut tokens = Vec::new();
    while let Some(first) = reader.rest.chars().next() {
        let line = reader.line;
        let token = match first {
            _ if reader.rest.starts_with("//") => {
                reader.take(|rest| rest.find('\n').unwrap_or(rest.len()));
                continue;
            }
            _ if reader.rest.starts_with("/*") => {
                reader.take(|rest| rest.find("*/").map_or(rest.len(), |end| end + 2));
                continue;
            }
            _ if reader.rest.starts_with("::") => {
                reader.take(|_| 2);
                Token::Path
            }
            _ if first.is_whitespace() => {
                reader.take(|_| first.len_utf8());
                continue;
            }
            '"' => Token::Text(reader.string()),
            '\'' => {
                reader.quote();
                continue;
            }
            _ if first.is_alphanumeric() || first == '_' => {
                let word = reader
                    .take(|rest| rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()));
                match raw_hashes(word, reader.rest) {
                    Some(hashes) => Token::Text(reader.raw_string(hashes)),
                    None if matches!(word, "b" | "c") && reader.rest.starts_with('"') => {
                        Token::Text(reader.string())
                    }
                    None => Token::Word(word.to_owned()),
                }
            }
            _ => {
                reader.take(|_| first.len_utf8());
                Token::Sign(first)
            }
        };
        tokens.push((line, token));
    }
    tokens
}

/// How many hashes fence the raw string that starts here, if one does.
fn raw_hashes(prefix: &str, rest: &str) -> Option<usize> {
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    (matches!(prefix, "r" | "br" | "cr") && rest[hashes..].starts_with('"')).then_some(hashes)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: impl FnOnce(&str) -> usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length(self.rest));
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn string(&mut self) -> String {
        let mut escaped = true; // The opening quote does not end it.
        let quoted = self.take(|rest| {
            let end = rest.char_indices().find(|&(_, c)| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |(at, _)| at + 1)
        });
        quoted.trim_matches('"').to_owned()
    }

    fn raw_string(&mut self, hashes: usize) -> String {
        let fence = "#".repeat(hashes);
        self.take(|_| hashes + 1);
        let text = self.take(|rest| rest.find(&format!("\"{fence}")).unwrap_or(rest.len()));
        self.take(|rest| rest.len().min(hashes + 1));
        text.to_owned()
    }

    /// A character or a lifetime.
    fn quote(&mut self) {
        let mut chars = self.rest.char_indices().skip(1);
        let first = chars.next();
        match (first, chars.next()) {
            // The escaped character itself may be a quote.
            (Some((_, '\\')), Some((at, escaped))) => {
                let after = at + escaped.len_utf8();
                self.take(|rest| rest[after..].find('\'').map_or(rest.len(), |end| after + end + 1));
            }
            (Some(_), Some((at, '\''))) => {
                self.take(|_| at + 1);
            }
            _ => {
                self.take(|_| 1);
            }
        }
    }
}

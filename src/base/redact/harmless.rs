//! Recognizes values after the name of a secret that are not secrets: code, types, and sentences about secrets.
//!
//! Only short values that are certainly harmless are kept. All others are hidden.

use super::bytes::is_blank;
use super::code::{compares, declares, follows_a_keyword, has_a_type, is_code, is_line, is_type};
use super::pair::Pair;
use super::rule::Rule;
use super::steps::{ahead, behind, count};
use super::values::Value;

/// Longer values are always hidden.
const LONGEST: usize = 160;

/// Values that mean that there is none.
const NOTHING: &[&str] =
    &["null", "none", "nil", "undefined", "true", "false", "n/a", "<nil>", "<none>", "[]", "{}", "()", "..."];

/// First words of sentences about a secret, after its name and a colon.
const SENTENCE_WORDS: &[&str] = &[
    "absent",
    "can't",
    "cannot",
    "changed",
    "denied",
    "does",
    "doesn't",
    "empty",
    "ensure",
    "expected",
    "expired",
    "failed",
    "has",
    "incorrect",
    "inherit",
    "invalid",
    "is",
    "isn't",
    "malformed",
    "mismatch",
    "missing",
    "must",
    "not",
    "optional",
    "refused",
    "rejected",
    "required",
    "revoked",
    "see",
    "should",
    "signature",
    "too",
    "unexpected",
    "unknown",
    "unset",
    "was",
    "wrong",
];

/// Whether `value` is certainly not a secret.
///
/// `is_secret` returns whether a name is that of a secret.
pub(super) fn is_harmless(
    bytes: &[u8],
    pair: &Pair,
    value: &Value,
    rule: Rule,
    is_secret: impl Fn(&[u8]) -> bool,
) -> bool {
    let text = &bytes[value.place.clone()];
    if text.len() > LONGEST {
        return false;
    }
    count(text.len());
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let text = text.trim();
    let name = &bytes[pair.name.clone()];
    let own = name.rsplit(|byte| *byte == b'.').next().unwrap_or(name);
    let colon = bytes[pair.sign] == b':';
    if is_nothing(text) || is_placeholder(text) || is_schema(text) {
        return true;
    }
    // The working directory of a shell.
    if matches!(own, b"PWD" | b"OLDPWD") && text.starts_with('/') {
        return true;
    }
    if rule.ordinary && colon && (!begins_field(bytes, pair.name.start) || name == b"PASS") {
        return true;
    }
    if value.quoted {
        return is_sentence(text, own) || speaks_of(text, name);
    }
    if colon && follows_a_keyword(bytes, pair) {
        return true;
    }
    let spaced = bytes[pair.sign - 1] == b' ' && bytes.get(pair.after) == Some(&b' ');
    // `let token = 5;`, `TOKEN = 12u32;`
    let is_small = text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit())
        || ["u32", "i32", "u64", "u8"].iter().any(|kind| {
            text.strip_suffix(kind).is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        });
    if spaced && is_small && bytes.get(value.place.end) == Some(&b';') {
        return true;
    }
    if spaced
        && (declares(bytes, pair) || compares(bytes, pair))
        && !text.starts_with(|c: char| c.is_ascii_digit())
    {
        return true;
    }
    // A function or a match arm: `token -> parse(next)`.
    if bytes[pair.sign] == b'-' && !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return true;
    }
    let after = ahead(bytes, value.place.end, 4, is_blank);
    let in_code = matches!(bytes.get(after), Some(b'}' | b',' | b')')) && colon;
    (colon
        && (is_line(name, text) || lists_code(text) || has_a_type(bytes, pair, text) || is_type(text) || is_sentence(text, own) || follows_a_parser(bytes, pair, text)))
        || is_same_name(text, own, colon || spaced)
        // A type parameter: `token: T`.
        || (in_code && !text.is_empty() && text.len() <= 2 && text.starts_with(|c: char| c.is_ascii_uppercase()))
        || (in_code
            && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
            && is_secret(text.as_bytes()))
        || ((colon || spaced) && is_code(text))
}

/// Whether this is a sentence without numbers that contains the name: `"forgotPassword": "Forgot your password?"`.
fn speaks_of(text: &str, name: &[u8]) -> bool {
    let has = |word: &str| {
        let ends = name.len().checked_sub(word.len()).map(|start| &name[start..]);
        word.len() > 4 && ends.is_some_and(|end| end.eq_ignore_ascii_case(word.as_bytes()))
    };
    let mut words = text.split([' ', '?', '.', '!', ',']);
    text.contains(' ') && !text.bytes().any(|byte| byte.is_ascii_digit()) && words.any(has)
}

/// Whether this is a list of `Debug` output, such as tokens of a parser: `tokens: [Ident("a"), Comma]`.
fn lists_code(text: &str) -> bool {
    let Some(first) = text.strip_prefix('[') else { return false };
    let word = ahead(first.as_bytes(), 0, 32, |byte| byte.is_ascii_alphanumeric());
    first.starts_with(|c: char| c.is_ascii_uppercase())
        && matches!(first.as_bytes().get(word), Some(b'(' | b','))
        && first[..word].bytes().all(|byte| !byte.is_ascii_digit())
}

/// Whether this is one of [`NOTHING`], a colour, or at most three bytes of punctuation.
pub(super) fn is_nothing(text: &str) -> bool {
    let bare = text.trim_end_matches([',', ';', '.']);
    NOTHING.iter().any(|nothing| bare.eq_ignore_ascii_case(nothing))
        || (text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_punctuation()))
        || bare.strip_prefix('#').is_some_and(|colour| {
            matches!(colour.len(), 3 | 6 | 8) && colour.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}

/// Whether this is a placeholder: `${TOKEN}`, `{token}`, `%s`, `<token>`, `****`.
pub(super) fn is_placeholder(text: &str) -> bool {
    let is_word = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b' '))
    };
    let upper = |text: &str| is_word(text) && text.bytes().all(|byte| !byte.is_ascii_lowercase());
    let within = |from: &str, to: &str| {
        text.strip_prefix(from).and_then(|text| text.strip_suffix(to)).is_some_and(|text| {
            let text = text.trim();
            text.is_empty() || (is_word(text) && !text.bytes().any(|byte| byte.is_ascii_digit()))
        })
    };
    within("${", "}")
        || within("{{", "}}")
        || within("${{", "}}")
        || within("{", "}")
        || within("#{", "}")
        || within("%{", "}")
        || within("<", ">")
        || text.strip_prefix('$').is_some_and(|name| upper(name) && name.len() > 2)
        // A parameter of an SQL statement.
        || text.strip_prefix(['$', '?']).is_some_and(|number| {
            (1..=3).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
        })
        || matches!(text.trim_end_matches("\\n"), "%s" | "%d" | "%v" | "%q" | "{:?}" | "{0}" | "{1}" | "?")
        || (text.len() > 2 && text.bytes().all(|byte| byte == b'*'))
        || matches!(text, "[REDACTED]" | "[FILTERED]" | "REDACTED" | "<redacted>")
}

/// Whether this is a schema: `{"type": "string", …`.
fn is_schema(text: &str) -> bool {
    let rest = text.trim_start_matches(['{', ' ', '\n', '\r', '\t', '"', '\'', '\\']);
    let Some(rest) = rest.strip_prefix("type") else { return false };
    let kind = rest.trim_start_matches(['"', '\'', '\\', ':', ' ']);
    ["string", "integer", "number", "boolean", "object", "array", "text", "keyword"].iter().any(|known| {
        kind.strip_prefix(known).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
    })
}

/// Whether the name is the start of a field. `pass` in `first pass: ok` is not.
fn begins_field(bytes: &[u8], start: usize) -> bool {
    let before =
        behind(bytes, start, 8, |byte| is_blank(byte) || matches!(byte, b'-' | b'"' | b'\'' | b'\\'));
    before == 0
        || before + 8 == start
        || matches!(bytes[before - 1], b'\n' | b'{' | b'[' | b'(' | b',' | b';' | b'&' | b'?')
}

/// Whether this is a sentence about the secret: words without digits, of which the first is in [`SENTENCE_WORDS`].
pub(super) fn is_sentence(text: &str, name: &[u8]) -> bool {
    let text = text.trim_start_matches(['[', '"', '\'', '\\', ' ']);
    let plain = |word: &str| word.len() <= 3 || word.bytes().all(|byte| !byte.is_ascii_digit());
    let mut words = text.split([' ', '\n', '\t', '|', ':']);
    let mut first = words.next().unwrap_or_default();
    let trimmed = |word: &'_ str| {
        word.trim_matches([',', '.', ';', ':', '!', '"', '\'', ']', '(', ')', '\\']).to_ascii_lowercase()
    };
    if matches!(trimmed(first).as_str(), "the" | "your" | "this" | "a" | "value")
        || is_same(first.as_bytes(), name)
    {
        first = words.next().unwrap_or_default();
    }
    SENTENCE_WORDS.binary_search(&trimmed(first).as_str()).is_ok() && words.all(plain)
}

fn is_same(text: &[u8], name: &[u8]) -> bool {
    text.eq_ignore_ascii_case(name)
}

/// `token = token`, `password: password,`, `apiKey: config.apiKey`.
fn is_same_name(text: &str, name: &[u8], code: bool) -> bool {
    let text = text.trim_end_matches([';', ',', ')', '?', '}']).trim_start_matches(['&', '*', '!']);
    let last = text.rsplit(['.', ':', '>']).next().unwrap_or_default();
    let path = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-' | b'>' | b'$'));
    path && (is_same(last.as_bytes(), name) && (code || last.len() < text.len() || text.len() == name.len()))
}

/// Whether a parser reports a token: `unexpected token: identifier`.
fn follows_a_parser(bytes: &[u8], pair: &Pair, text: &str) -> bool {
    let before = bytes[..pair.name.start].trim_ascii_end();
    let word = behind(before, before.len(), 16, |byte| byte.is_ascii_alphabetic());
    let word = before[word..].to_ascii_lowercase();
    let words =
        matches!(word.as_slice(), b"unexpected" | b"expected" | b"illegal" | b"next" | b"last" | b"previous")
            && text.len() <= 24
            && !text.bytes().any(|byte| byte.is_ascii_digit());
    // `cost per token: 0.002`
    words || (word == b"per" && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted() {
        assert!(SENTENCE_WORDS.is_sorted());
    }
}

//! Values in source code that are not secrets although their name is that of one: a type, a call, another variable.

use super::bytes::is_name;
use super::pair::Pair;
use super::steps::{ahead, behind};

/// Names of types after a colon in source code.
const TYPES: &[&str] = &[
    "annotated",
    "any",
    "bool",
    "boolean",
    "box",
    "bytes",
    "char",
    "cow",
    "dyn",
    "extern",
    "f32",
    "f64",
    "handle",
    "i128",
    "i16",
    "i32",
    "i64",
    "i8",
    "impl",
    "int",
    "isize",
    "list",
    "number",
    "object",
    "option",
    "optional",
    "secretstring",
    "self",
    "str",
    "string",
    "u128",
    "u16",
    "u32",
    "u64",
    "u8",
    "unsafe",
    "usize",
    "vec",
    "void",
];

/// Extensions of source files, for places such as `token.rs:12:5`.
const FILES: &[&str] = &[
    "c", "cc", "conf", "cpp", "cs", "css", "ex", "go", "h", "hpp", "html", "ini", "java", "js", "json",
    "jsx", "kt", "log", "md", "mjs", "php", "py", "rb", "rs", "scala", "sh", "sql", "swift", "toml", "ts",
    "tsx", "txt", "vue", "xml", "yaml", "yml",
];

/// Whether this is a place in a source file: `token.rs:12:5`.
pub(super) fn is_line(name: &[u8], text: &str) -> bool {
    let dot = name.iter().rposition(|byte| *byte == b'.');
    let ending = dot.and_then(|dot| std::str::from_utf8(&name[dot + 1..]).ok()).unwrap_or_default();
    FILES.binary_search(&ending).is_ok()
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
        && text
            .split([':', ' ', ')', ','])
            .next()
            .is_some_and(|line| line.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether this is a type that is not in [`TYPES`]: `LazyLock<String>`, `&Secrets`, `mio::Token`.
fn is_own_type(text: &str) -> bool {
    let text = text.split(" = ").next().unwrap_or(text).trim_end_matches(['=', ' ', ',', ';']);
    let borrowed = text.strip_prefix('&').map(|text| text.strip_prefix("mut ").unwrap_or(text));
    let (path, generic) =
        text.trim_start_matches(['&', '*']).trim_start_matches("mut ").split_once('<').map_or_else(
            || (text.trim_start_matches(['&', '*']).trim_start_matches("mut "), false),
            |(path, rest)| (path, rest.ends_with('>')),
        );
    let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let mut words = path.split("::");
    let last = words.clone().last().unwrap_or_default();
    words.all(is_word)
        && last.starts_with(|c: char| c.is_ascii_uppercase())
        && (generic || (!text.contains('<') && (borrowed.is_some() || path.contains("::"))))
}

/// Whether this is a type: `&str`, `Option<String>`, `string;`.
pub(super) fn is_type(text: &str) -> bool {
    if is_own_type(text) || text.starts_with("impl ") || text.starts_with("dyn ") || text.starts_with("&dyn ")
    {
        return true;
    }
    let text = text.trim_start_matches(['&', '*', '?', ' ']);
    let text = text.strip_prefix("'a ").or_else(|| text.strip_prefix("'static ")).unwrap_or(text);
    let text = text.strip_prefix("mut ").unwrap_or(text);
    if text.starts_with("const ") || text.starts_with("mut ") || text.starts_with("unsafe ") {
        return true;
    }
    let word = ahead(text.as_bytes(), 0, 24, |byte| byte.is_ascii_alphanumeric());
    let (word, rest) = text.split_at(word);
    let known = TYPES.binary_search(&word.to_ascii_lowercase().as_str()).is_ok();
    known
        && (rest.is_empty() || rest.starts_with(['<', '[', ',', ';', ')', ' ', '|', '=', '?', '}', '>', '!']))
        && (rest.len() < 2 || rest.starts_with(['<', '[', ' ', ')', ',', ';', '=', '|']))
        && (rest.starts_with(['[', '<']) || !rest.trim_start().bytes().any(|byte| byte.is_ascii_digit()))
        && (!rest.starts_with(' ') || rest.trim_start().starts_with(['=', '|', '{', '/', '#', '+', '-', ')']))
}

/// Whether the name follows a keyword of a language whose statements end with a colon: `if token:`.
pub(super) fn follows_a_keyword(bytes: &[u8], pair: &Pair) -> bool {
    let before = &bytes[..pair.name.start];
    let before = before.strip_suffix(b"\"").unwrap_or(before).trim_ascii_end();
    let word = behind(before, before.len(), 8, |byte| byte.is_ascii_alphabetic());
    before.len() < pair.name.start
        && matches!(
            &before[word..],
            b"if" | b"elif" | b"while" | b"class" | b"case" | b"not" | b"struct" | b"enum"
        )
}

/// Whether a variable is declared: `let token = other`. A literal secret would be in quotes.
pub(super) fn declares(bytes: &[u8], pair: &Pair) -> bool {
    let before = bytes[..pair.name.start].trim_ascii_end();
    let word = behind(before, before.len(), 8, |byte| byte.is_ascii_alphabetic());
    before.len() < pair.name.start
        && matches!(&before[word..], b"let" | b"mut" | b"const" | b"var" | b"val" | b"final")
}

/// Whether this is a field of a struct, a constant or a variable with its type: `pub token: Kind`.
pub(super) fn has_a_type(bytes: &[u8], pair: &Pair, text: &str) -> bool {
    let before = bytes[..pair.name.start].trim_ascii_end();
    let word = behind(before, before.len(), 8, |byte| byte.is_ascii_alphabetic());
    before.len() < pair.name.start
        && matches!(&before[word..], b"pub" | b"let" | b"mut" | b"const" | b"static")
        && !text.contains(['"', '\''])
}

/// Whether the sign is a comparison: `token == OTHER`.
pub(super) fn compares(bytes: &[u8], pair: &Pair) -> bool {
    bytes[pair.sign..pair.after] == *b"=="
}

/// Whether this is an expression that is evaluated at run time: a call, or a keyword.
pub(super) fn is_code(text: &str) -> bool {
    let first = text.split([' ', '(']).next().unwrap_or_default();
    if matches!(
        first,
        "await" | "new" | "async" | "match" | "if" | "self" | "lambda" | "function" | "typeof" | "yield"
    ) && (text.len() > first.len() || first != "self")
    {
        return true;
    }
    // A closure.
    if text.starts_with('(') && text.contains(") =>") {
        return true;
    }
    // A wrapped call: `Some(Token::new(other))`.
    let inner = text.strip_prefix("Some(").or_else(|| text.strip_prefix("Ok("));
    if inner.is_some_and(|inner| {
        !inner.contains(['"', '\''])
            && (inner.contains("::") || inner.contains("(") || inner == ")" || inner == "())")
    }) {
        return true;
    }
    let text = text.trim_start_matches(['&', '*', '!', '(']);
    let path = ahead(text.as_bytes(), 0, usize::MAX, |byte| {
        is_name(byte) && byte < 0x80 && byte != b'%' || matches!(byte, b':' | b'>' | b'$')
    });
    let (path, rest) = text.split_at(path);
    // A macro.
    if rest.starts_with("![") || rest.starts_with("!(") {
        return !rest.contains(['"', '\'']);
    }
    let field = rest.starts_with('[') && (path.contains('.') || path.starts_with("$_"));
    let calls = rest.starts_with('(') || field || (rest.starts_with('<') && path.ends_with("::"));
    let lower =
        path.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'$'));
    if !calls || !(lower || path.contains('.') || path.contains("::")) {
        return false;
    }
    // A string in the arguments of a call may be the secret, unless it is a sign or itself a name.
    let reads =
        ["env", "get", "req", "header", "param", "config", "$_"].iter().any(|word| path.contains(word));
    let mut parts = rest.split(['"', '\'']);
    let mut inside = parts.by_ref().skip(1).step_by(2);
    inside.all(|text| {
        let sign = text.len() <= 3 && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_punctuation());
        let word = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b' ' | b':');
        sign || (reads && text.len() <= 40 && text.bytes().all(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted() {
        assert!(TYPES.is_sorted() && FILES.is_sorted());
    }
}

//! Decodes escaped characters of URLs, HTML and JSON.

use super::steps::count;

/// A decoded text.
pub(super) struct Decoded {
    pub(super) text: Vec<u8>,
    /// For each decoded byte, its place in the original text. The last item is the end of the original.
    places: Vec<usize>,
}

impl Decoded {
    fn new(room: usize) -> Self {
        Self { text: Vec::with_capacity(room), places: Vec::with_capacity(room + 1) }
    }

    fn push(&mut self, bytes: &[u8], place: usize) {
        self.text.extend(bytes);
        self.places.resize(self.text.len(), place);
    }

    /// The place in the original of the decoded byte at `place`.
    pub(super) fn place(&self, place: usize) -> Option<usize> {
        self.places.get(place).copied()
    }
}

/// Decodes the escaped characters of URLs, HTML and JSON in `text`. `None` if there are none.
///
/// Escaped quotes are kept: the number of backslashes shows how deep documents are nested.
pub(super) fn decode_any(text: &[u8]) -> Option<Decoded> {
    let first = (0..text.len()).find(|at| escape(text, *at).is_some());
    count(first.unwrap_or(text.len()) + 1);
    let mut at = first?;
    let mut decoded = Decoded::new(text.len());
    decoded.text.extend(&text[..at]);
    decoded.places.extend(0..at);
    count(text.len() - at);
    while at < text.len() {
        let (bytes, length) = escape(text, at).unwrap_or(([text[at], 0, 0, 0], 1));
        decoded.push(written(&bytes), at);
        at += length;
    }
    decoded.places.push(text.len());
    Some(decoded)
}

/// Decodes a JSON string.
pub(super) fn decode_json(text: &[u8]) -> Decoded {
    let mut decoded = Decoded::new(text.len());
    count(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at).copied() {
        let (bytes, length) = match (byte, text.get(at + 1)) {
            (b'\\', Some(b'u')) => unicode(text, at).unwrap_or(([b'u', 0, 0, 0], 2)),
            (b'\\', Some(b'n')) => ([b'\n', 0, 0, 0], 2),
            (b'\\', Some(b'r')) => ([b'\r', 0, 0, 0], 2),
            (b'\\', Some(b't')) => ([b'\t', 0, 0, 0], 2),
            (b'\\', Some(b'b' | b'f')) => ([b' ', 0, 0, 0], 2),
            (b'\\', Some(next)) if next.is_ascii() => ([*next, 0, 0, 0], 2),
            _ => ([byte, 0, 0, 0], 1),
        };
        decoded.push(written(&bytes), at);
        at += length;
    }
    decoded.places.push(text.len());
    decoded
}

/// Up to four decoded bytes, and the length of the escape.
type Escape = ([u8; 4], usize);

/// The bytes of a character without the zeros after them. The first byte may be zero.
fn written(bytes: &[u8; 4]) -> &[u8] {
    let length = (1..4).rev().find(|at| bytes[*at] != 0).map_or(1, |last| last + 1);
    &bytes[..length]
}

/// The escaped character at `at`, if there is one.
#[inline]
fn escape(text: &[u8], at: usize) -> Option<Escape> {
    match text[at] {
        b'%' => {
            let [high, low] = *text.get(at + 1..at + 3)? else { return None };
            Some(([hex(high)? << 4 | hex(low)?, 0, 0, 0], 3))
        }
        b'&' => entity(text, at),
        b'\\' => match text.get(at + 1)? {
            b'u' => unicode(text, at),
            b'/' => Some(([b'/', 0, 0, 0], 2)),
            _ => None,
        },
        _ => None,
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

/// The character of an HTML or XML entity (`&…;`).
fn entity(text: &[u8], at: usize) -> Option<Escape> {
    const NAMES: &[(&[u8], u8)] =
        &[(b"&quot;", b'"'), (b"&lt;", b'<'), (b"&gt;", b'>'), (b"&amp;", b'&'), (b"&apos;", b'\'')];
    let rest = &text[at..];
    if let Some((name, byte)) = NAMES.iter().find(|(name, _)| rest.starts_with(name)) {
        return Some(([*byte, 0, 0, 0], name.len()));
    }
    // `&#34;` and `&#x22;`
    let number = rest.strip_prefix(b"&#")?;
    let end = number.iter().take(8).position(|byte| *byte == b';')?;
    let digits = std::str::from_utf8(&number[..end]).ok()?;
    let c = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    Some((bytes_of(char::from_u32(c.ok()?)?), "&#;".len() + end))
}

/// The character of a `\uXXXX`, or of a surrogate pair of two.
fn unicode(text: &[u8], at: usize) -> Option<Escape> {
    let unit = |at: usize| {
        let digits = std::str::from_utf8(text.get(at..at + 6)?).ok()?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    let (c, length) = match (unit(at)?, unit(at + 6)) {
        (high @ 0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) => {
            (char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 12)
        }
        (unit, _) => (char::from_u32(unit), 6),
    };
    Some((bytes_of(c.unwrap_or(char::REPLACEMENT_CHARACTER)), length))
}

fn bytes_of(c: char) -> [u8; 4] {
    let mut bytes = [0; 4];
    c.encode_utf8(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_means_what_is_escaped_in_it() {
        for (text, means) in [
            ("a%3Db%", Some("a=b%")),
            ("&lt;a b=&quot;c&quot;&gt;&#39;&#x3d;&amp;", Some("<a b=\"c\">'=&")),
            (r"https:\/\/h\/a\u0026b=\ud83d\ude00", Some("https://h/a&b=😀")),
            (r#"{\"a\": 1}"#, None),
            ("100 % & more; a&b;c %zz \\u00", None),
        ] {
            let decoded = decode_any(text.as_bytes()).map(|decoded| String::from_utf8(decoded.text).unwrap());
            assert_eq!(decoded.as_deref(), means, "{text}");
        }
        let decoded = decode_any("x%41\\u00e9z".as_bytes()).unwrap();
        let places: Vec<_> = (0..=decoded.text.len()).map(|place| decoded.place(place).unwrap()).collect();
        assert_eq!((decoded.text, places), ("xAéz".into(), vec![0, 1, 4, 4, 10, 11]));
        assert_eq!(decode_json(r#"a\"\n\u0000\q\u"#.as_bytes()).text, b"a\"\n\0qu");
    }
}

//! `Bearer` and `Basic` credentials, wherever they stand.

use std::ops::Range;

/// Credentials are no shorter.
const SHORTEST: usize = 8;

/// Words that follow `bearer` in a sentence.
const WORDS: &[&str] = &[
    "authentication",
    "authorization",
    "certificate",
    "certificates",
    "challenge",
    "credential",
    "credentials",
];

/// The next credentials from `from` on.
pub(super) fn next(text: &str, from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(place) = memchr::memchr2(b'b', b'B', &bytes[at..]) {
        let start = at + place;
        at = start + 1;
        let apart = start == 0 || !bytes[start - 1].is_ascii_alphanumeric();
        let found = match scheme(&bytes[start..]) {
            Some((length, basic)) if apart => token(text, start + length, basic),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The length of the scheme's name, and whether it is `Basic`.
fn scheme(bytes: &[u8]) -> Option<(usize, bool)> {
    let is = |name: &str| bytes.get(..name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name.as_bytes()));
    if is("bearer") { Some((6, false)) } else { is("basic").then_some((5, true)) }
}

/// The credentials after a scheme's name that ends at `from`.
fn token(text: &str, from: usize, basic: bool) -> Option<Range<usize>> {
    let bytes = &text.as_bytes()[from..];
    // A blank, or one as a URL writes it.
    let gap = match bytes {
        [b' ' | b'\t' | b'+', ..] => {
            bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'+')).count()
        }
        [b'%', b'2', b'0', ..] => 3,
        _ => return None,
    };
    let bytes = &bytes[gap..];
    let length = bytes.iter().take_while(|byte| in_token(**byte)).count();
    let token = &text[from + gap..from + gap + length];
    let secret = length >= SHORTEST
        && if basic {
            names_a_user(token.as_bytes())
        } else {
            !WORDS.iter().any(|word| token.trim_end_matches('.').eq_ignore_ascii_case(word))
        };
    secret.then_some(from + gap..from + gap + length)
}

/// `token68` of RFC 9110, and what URLs write for the rest of base64.
fn in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=' | b'%')
}

/// Whether this is the base64 of a name, a colon and a password.
fn names_a_user(token: &[u8]) -> bool {
    let (mut bits, mut count) = (0_u32, 0);
    for byte in token {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return false,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            if (bits >> count) as u8 == b':' {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_from_words() {
        let found = |text: &'static str| next(text, 0).map(|found| &text[found]);
        for (text, secret) in [
            ("sent Bearer abcdefghijk to it", Some("abcdefghijk")),
            ("BEARER a.b-c_d~e+f/g==", Some("a.b-c_d~e+f/g==")),
            ("(bearer\tabcdefgh)", Some("abcdefgh")),
            ("x=Bearer%20abcdefgh&y", Some("abcdefgh")),
            ("Basic dXNlcjpwYXNz!", Some("dXNlcjpwYXNz")),
            ("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some("QWxhZGRpbjpvcGVuIHNlc2FtZQ==")),
            ("the basic authentication failed", None),
            ("bearer authentication. Then Bearer abcdefgh", Some("abcdefgh")),
            ("Bearer short", None),
            ("forbearer abcdefghijk", None),
            ("basic", None),
            ("bearer", None),
        ] {
            assert_eq!(found(text), secret, "{text}");
        }
    }
}

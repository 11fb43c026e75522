//! `Bearer` and `Basic` credentials anywhere in a text.

use std::ops::Range;

use super::steps::{ahead, count};

/// The length of the shortest credentials.
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

/// How many bytes after `basic` are decoded to find the colon after the user's name.
const LONGEST_NAME: usize = 256;

/// Calls `each` with the place of all credentials.
pub(super) fn each(bytes: &[u8], mut each: impl FnMut(Range<usize>)) {
    let (mut at, mut run) = (0, 0);
    while let Some(place) = memchr::memchr2(b'b', b'B', &bytes[at..]) {
        count(place + 1);
        let start = at + place;
        at = start + 1;
        let apart = start == 0 || !bytes[start - 1].is_ascii_alphanumeric();
        if apart
            && let Some((length, basic)) = scheme(&bytes[start..])
            && let Some(found) = token(bytes, start + length, basic, &mut run)
        {
            at = found.end;
            each(found);
        }
    }
}

/// The length of the scheme's name, and whether it is `Basic`.
fn scheme(bytes: &[u8]) -> Option<(usize, bool)> {
    let is = |name: &str| bytes.get(..name.len()).is_some_and(|it| it.eq_ignore_ascii_case(name.as_bytes()));
    if is("bearer") { Some((6, false)) } else { is("basic").then_some((5, true)) }
}

/// The credentials after a scheme's name that ends at `from`.
///
/// `run` is the end of the last run of token bytes that was read. Many credentials may begin in the same run.
fn token(bytes: &[u8], from: usize, basic: bool, run: &mut usize) -> Option<Range<usize>> {
    // A blank, which may be percent-encoded.
    let start = match bytes[from..] {
        [b' ' | b'\t' | b'+', ..] => {
            ahead(bytes, from, usize::MAX, |byte| matches!(byte, b' ' | b'\t' | b'+'))
        }
        [b'%', b'2', b'0', ..] => from + 3,
        _ => return None,
    };
    if *run <= start {
        *run = ahead(bytes, start, usize::MAX, in_token);
    }
    let token = &bytes[start..*run];
    let secret = token.len() >= SHORTEST
        && if basic {
            names_a_user(&token[..token.len().min(LONGEST_NAME)])
        } else {
            let dots = token.iter().rev().take_while(|byte| **byte == b'.').take(4).count();
            let word = &token[..token.len() - dots];
            !WORDS.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes())) && !is_pair(token)
        };
    secret.then_some(start..*run)
}

/// Whether this is the next pair of a list: `token_type=bearer expires_in=3600`.
fn is_pair(token: &[u8]) -> bool {
    let name = ahead(token, 0, 64, |byte| byte.is_ascii_lowercase() || byte == b'_');
    token[name..].strip_prefix(b"=").is_some_and(|value| !matches!(value, [] | [b'=', ..]))
}

/// `token68` of RFC 9110, and `%` for percent-encoded base64.
fn in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=' | b'%')
}

/// Whether this is base64 of a name, a colon and a password.
fn names_a_user(token: &[u8]) -> bool {
    let (mut bits, mut length, mut colon) = (0_u32, 0, false);
    // A word of a sentence may be valid base64 too, but it rarely decodes to text.
    let word = token.iter().all(u8::is_ascii_alphabetic);
    count(token.len());
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
        length += 6;
        if length >= 8 {
            length -= 8;
            match (bits >> length) as u8 {
                b':' if !word => return true,
                b':' => colon = true,
                byte if word && !byte.is_ascii_graphic() => return false,
                _ => {}
            }
        }
    }
    colon
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_from_words() {
        let found = |text: &'static str| {
            let mut found = None;
            each(text.as_bytes(), |place| found = Some(&text[place]));
            found
        };
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

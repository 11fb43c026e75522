//! Credentials that their shape gives away under any name: tokens of known services, JWTs, private keys.

use std::ops::Range;

use super::steps::{ahead, count, find_text};

/// How a token begins, what follows, and at least how much of it.
type Token = (&'static [u8], fn(u8) -> bool, usize);

const TOKENS: &[Token] = &[
    (b"AKIA", is_upper, 16),
    (b"ASIA", is_upper, 16),
    (b"sk_live_", is_alphanumeric, 16),
    (b"rk_live_", is_alphanumeric, 16),
    (b"sk_test_", is_alphanumeric, 16),
    (b"rk_test_", is_alphanumeric, 16),
    (b"ghp_", is_alphanumeric, 20),
    (b"gho_", is_alphanumeric, 20),
    (b"ghu_", is_alphanumeric, 20),
    (b"ghs_", is_alphanumeric, 20),
    (b"ghr_", is_alphanumeric, 20),
    (b"github_pat_", is_base64url, 20),
    (b"xoxa-", is_base64url, 15),
    (b"xoxb-", is_base64url, 15),
    (b"xoxe-", is_base64url, 15),
    (b"xoxo-", is_base64url, 15),
    (b"xoxp-", is_base64url, 15),
    (b"xoxr-", is_base64url, 15),
    (b"xoxs-", is_base64url, 15),
];

/// Bytes of the smallest header of a JWT and of its other parts.
const HEADER: usize = 14;
const PART: usize = 4;
/// So much of a header without its end was cut off.
const CUT: usize = 256;

/// Calls `each` with the place of every credential.
pub(super) fn each(bytes: &[u8], mut each: impl FnMut(Range<usize>)) {
    let (mut at, mut header) = (0, 0);
    while at < bytes.len() {
        count(1);
        let found = match bytes[at] {
            b'A' | b's' | b'r' | b'g' | b'x' => token(bytes, at),
            b'e' => jwt(bytes, at, &mut header),
            b'-' => private_key(bytes, at),
            _ => None,
        };
        match found {
            Some(end) => {
                each(at..end);
                at = end;
            }
            None => at += 1,
        }
    }
}

/// Whether nothing that belongs to a token stands before it.
fn apart(bytes: &[u8], at: usize) -> bool {
    at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_') || after_escape(bytes, at)
}

/// The `n` of a line break in a text that is printed by its `Debug`, and what a URL writes for a byte.
fn after_escape(bytes: &[u8], at: usize) -> bool {
    matches!(bytes[..at], [.., b'\\', b'n' | b't' | b'r'])
        || matches!(bytes[..at], [.., b'%', b'0'..=b'9', _])
}

fn token(bytes: &[u8], at: usize) -> Option<usize> {
    let (begins, follows, least) = TOKENS.iter().find(|(begins, ..)| bytes[at..].starts_with(begins))?;
    if !apart(bytes, at) {
        return None;
    }
    let start = at + begins.len();
    let end = ahead(bytes, start, usize::MAX, follows);
    (end - start >= *least).then_some(end)
}

/// The end of a JWT or another document of JOSE: parts with dots between them, of which the first is a JSON object.
///
/// `header` is the end of the last header that was looked at: many may begin in one run of its bytes.
fn jwt(bytes: &[u8], at: usize, header: &mut usize) -> Option<usize> {
    if !bytes[at..].starts_with(b"eyJ") || !apart(bytes, at) {
        return None;
    }
    if *header <= at {
        *header = ahead(bytes, at, usize::MAX, is_base64url);
    }
    let header = *header;
    if header == bytes.len() && header - at > CUT {
        return Some(header);
    }
    if bytes.get(header) != Some(&b'.') || header - at < HEADER {
        return None;
    }
    let mut end = header;
    for part in 0..4 {
        let next = ahead(bytes, end + 1, usize::MAX, is_base64url);
        if part == 0 && next - (end + 1) < PART && next != bytes.len() {
            return None;
        }
        end = next;
        if bytes.get(end) != Some(&b'.') || !bytes.get(end + 1).is_some_and(|byte| is_base64url(*byte)) {
            break;
        }
    }
    Some(end)
}

/// The end of a private key in PEM; its beginning and its end may lie in a text that is written with `\n`.
fn private_key(bytes: &[u8], at: usize) -> Option<usize> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    if !bytes[at..].starts_with(BEGIN) {
        return None;
    }
    let label = at + BEGIN.len();
    let end =
        ahead(bytes, label, 64, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
    let kind = &bytes[label..end];
    if !kind.windows(11).any(|window| window == b"PRIVATE KEY") || !bytes[end..].starts_with(b"-----") {
        return None;
    }
    const END: &[u8] = b"-----END ";
    // A key without an end was cut off.
    let Some(last) = find_text(END, bytes, end) else { return Some(bytes.len()) };
    let last = ahead(bytes, last + END.len(), 64, |byte| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' '
    });
    Some(ahead(bytes, last, 5, |byte| byte == b'-'))
}

fn is_upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=')
}

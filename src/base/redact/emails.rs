//! E-mail addresses.

use std::ops::Range;

use super::bytes::is_name;
use super::steps::{ahead, behind, char_start, continues, count};

/// The maximum lengths of the parts of an address (RFC 5321).
const LOCAL: usize = 64;
const DOMAIN: usize = 255;

/// Calls `each` with the place of every address. Its `@` may be percent-encoded as `%40`.
pub(super) fn each(bytes: &[u8], mut each: impl FnMut(Range<usize>)) {
    let (mut done, mut at) = (0, 0);
    while let Some(place) = memchr::memchr2(b'@', b'%', &bytes[at..]) {
        count(place + 1);
        let sign = at + place;
        let after = match &bytes[sign..] {
            [b'@', ..] => sign + 1,
            [b'%', b'4', b'0', ..] => sign + 3,
            _ => {
                at = sign + 1;
                continue;
            }
        };
        at = after;
        let start = local(bytes, done, sign);
        if start < sign
            && let Some(end) = domain(bytes, after)
        {
            let end = char_start(bytes, end);
            each(start..end);
            (done, at) = (end, end);
        }
    }
}

/// The start of the local part, before the sign.
fn local(bytes: &[u8], from: usize, sign: usize) -> usize {
    let start = behind(bytes, sign, LOCAL.min(sign - from), is_local);
    ahead(bytes, start, sign - start, |byte| matches!(byte, b'.' | b'\'') || continues(byte))
}

fn is_local(byte: u8) -> bool {
    is_name(byte) || matches!(byte, b'+' | b'\'')
}

/// The end of the domain, after the sign. `2x.png` and `1.2.3` are not domains.
fn domain(bytes: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut labels, mut end) = (from, 0, None);
    while at - from < DOMAIN {
        let length =
            ahead(bytes, at, DOMAIN, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | 0x80..))
                - at;
        if length == 0 || bytes[at] == b'-' {
            break;
        }
        labels += 1;
        let top = &bytes[at..at + length];
        at += length;
        if labels > 1 && length > 1 && top.iter().all(|byte| !byte.is_ascii_digit()) {
            end = Some(at);
        }
        if bytes.get(at) != Some(&b'.') {
            break;
        }
        at += 1;
    }
    // `icon@2x.png` is an image for screens of twice the density.
    let image = labels == 2 && matches!(&bytes[from..], [b'1'..=b'9', b'x', b'.', ..]);
    end.filter(|_| !image)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<&str> {
        let mut found = None;
        each(text.as_bytes(), |place| found = Some(&text[place]));
        found
    }

    #[test]
    fn addresses_are_found() {
        for mail in [
            "ann@example.com",
            "Ann.O'Neil+tag_1%x@mail.example.co.uk",
            "a@b.io",
            "ann%40example.com",
            "ann@xn--bcher-kva.example",
            "jörg@bücher.example",
            "用户@例子.公司",
            "1@2.de",
        ] {
            for (before, after) in
                [("", ""), ("to <", ">, hello"), ("mail:", "."), ("é ", "\n"), ("(", ") x"), ("@ ", " @")]
            {
                let text = format!("{before}{mail}{after}");
                assert_eq!(found(&text), Some(mail), "{text}");
            }
        }
    }

    #[test]
    fn other_signs_are_left_alone() {
        for text in [
            "@",
            "a@",
            "@b.de",
            "user@host",
            "lodash@4.17.21",
            "icon@2x.png",
            "image@sha256:abcdef",
            "a @ b.de",
            "100%40",
            "50%",
            "x@-b.de",
            "a@b..de",
            "@app.route('/')",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}

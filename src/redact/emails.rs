//! E-mail addresses.

use super::values::{char_start, is_name};

/// The longest parts that mail may have (RFC 5321).
const LOCAL: usize = 64;
const DOMAIN: usize = 255;

/// The next address from `from` on; its `@` may be written `%40`, as in a URL.
pub(super) fn next(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(place) = memchr::memchr2(b'@', b'%', &bytes[at..]) {
        let sign = at + place;
        let after = match &bytes[sign..] {
            [b'@', ..] => sign + 1,
            [b'%', b'4', b'0', ..] => sign + 3,
            _ => {
                at = sign + 1;
                continue;
            }
        };
        let start = local(text, from, sign);
        let end = domain(bytes, after);
        if start < sign
            && let Some(end) = end
        {
            return Some((start, char_start(text, end)));
        }
        at = after;
    }
    None
}

/// Where the part before the sign begins.
fn local(text: &str, from: usize, sign: usize) -> usize {
    let bytes = &text.as_bytes()[from..sign];
    let length = bytes.iter().rev().take(LOCAL).take_while(|byte| is_local(**byte)).count();
    let mut start = char_start(text, sign - length);
    while start < sign && matches!(text.as_bytes()[start], b'.' | b'\'') {
        start += 1;
    }
    start
}

fn is_local(byte: u8) -> bool {
    is_name(byte) || matches!(byte, b'+' | b'\'')
}

/// Where the part after the sign ends, if it is that of an address: `2x.png` is none, nor is `1.2.3`.
fn domain(bytes: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut labels, mut end) = (from, 0, None);
    while at - from < DOMAIN {
        let label = &bytes[at..];
        let length = label
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | 0x80..))
            .count();
        if length == 0 || label[0] == b'-' {
            break;
        }
        labels += 1;
        at += length;
        let top = &label[..length];
        if labels > 1 && length > 1 && top.iter().all(|byte| !byte.is_ascii_digit()) {
            end = Some(at);
        }
        if bytes.get(at) != Some(&b'.') {
            break;
        }
        at += 1;
    }
    // The file of an image for screens of twice the density.
    let image = labels == 2 && matches!(&bytes[from..], [b'1'..=b'9', b'x', b'.', ..]);
    end.filter(|_| !image)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<&str> {
        next(text, 0).map(|(start, end)| &text[start..end])
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

//! What is secret in a URL beside the parameters that have the name of a secret.

use std::ops::Range;

use super::values::{char_start, is_name};

/// Parameters with which whoever has the URL may do what its signer may: those that the conventions of
/// OpenTelemetry name for `url.full`.
pub(super) const SIGNATURES: &[&str] = &["AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"];

/// How far a password may reach that is not written as URLs want it.
const AHEAD: usize = 256;

/// Where the user's name and password stand in the URL whose `://` begins at `sign`.
pub(super) fn user(text: &str, sign: usize) -> Option<Range<usize>> {
    let start = sign + 3;
    let bytes = &text.as_bytes()[start..];
    let bytes = &bytes[..bytes.len().min(4 * AHEAD)];
    let end = memchr::memchr3(b'/', b'?', b'#', bytes).unwrap_or(bytes.len());
    let end = bytes[..end].iter().position(|byte| outside(*byte)).unwrap_or(end);
    if let Some(at) = memchr::memrchr(b'@', &bytes[..end]) {
        return (at > 0).then_some(start..start + at);
    }
    // `user:pass/word@host`: what follows the colon is no port, so the authority goes on.
    let colon = memchr::memchr(b':', &bytes[..end])?;
    let port = bytes[colon + 1..end].iter().all(u8::is_ascii_digit) || bytes[0] == b'[';
    if port {
        return None;
    }
    let far = &bytes[..bytes.len().min(AHEAD)];
    let far = &far[..far.iter().position(|byte| outside(*byte)).unwrap_or(far.len())];
    let at = memchr::memrchr(b'@', far)?;
    Some(start..char_start(text, start + at))
}

fn outside(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'<' | b'>' | b'`')
}

/// Whether a name that begins at `start` is that of a parameter.
pub(super) fn in_query(bytes: &[u8], start: usize) -> bool {
    start > 0 && matches!(bytes[start - 1], b'?' | b'&' | b'#')
}

/// Whether `sign` ends the scheme of a URL.
pub(super) fn begins(bytes: &[u8], sign: usize) -> bool {
    bytes[sign..].starts_with(b"://") && sign > 0 && is_name(bytes[sign - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_found_however_odd_the_password() {
        let found = |text: &'static str| user(text, text.find("://").unwrap()).map(|found| &text[found]);
        for (text, secret) in [
            ("http://me:pw@host:80/a", Some("me:pw")),
            ("http://me@host", Some("me")),
            ("postgres://u:p@ss@db/x", Some("u:p@ss")),
            ("amqp://u:a/b#c@mq:5672/", Some("u:a/b#c")),
            ("http://h/p@q", None),
            ("http://h:80/p@q", None),
            ("http://[::1]:80/p@q", None),
            ("http://h and a@b", None),
            ("\"http://h\" a:b@c", None),
            ("http://@h", None),
            ("://", None),
        ] {
            assert_eq!(found(text), secret, "{text}");
        }
    }
}

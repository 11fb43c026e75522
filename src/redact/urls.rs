//! What is secret in a URL beside the parameters that have the name of a secret.

use std::ops::Range;

use super::MARKER;
use super::settings::Treatment;
use super::steps::{ahead, find_last};
use super::text::Search;
use super::values::is_name;

/// Parameters that give the one who has the URL the rights of its signer: those that the conventions of OpenTelemetry
/// name for `url.full`.
pub(super) const SIGNATURES: &[&str] = &["AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"];

/// URLs that are secrets themselves: who knows one may post there.
const HOOKS: &[&[u8]] = &[
    b"hooks.slack.com/services/",
    b"hooks.slack.com/workflows/",
    b"hooks.slack.com/triggers/",
    b"events.pagerduty.com/integration/",
];

/// No host has a longer name (RFC 1035).
const HOST: usize = 255;

impl Search<'_> {
    /// Hides what is secret in the URL whose `://` begins at `sign`; where the search goes on.
    pub(super) fn url(&mut self, sign: usize) -> usize {
        let (bytes, rules) = (self.bytes, self.rules);
        let start = sign + "://".len();
        if rules.urls != Treatment::Leave
            && let Some(place) = self.user(start)
        {
            let end = place.end;
            self.shape(place, rules.urls, "user");
            return end;
        }
        if rules.hooks
            && matches!(bytes.get(start), Some(b'h' | b'e'))
            && let Some(hook) = HOOKS.iter().find(|hook| bytes[start..].starts_with(hook))
        {
            let start = start + hook.len();
            if bytes[start..].starts_with(MARKER.as_bytes()) {
                return start + MARKER.len();
            }
            let end = ahead(bytes, start, usize::MAX, |byte| {
                !outside(byte) && !matches!(byte, b'?' | b'#' | b'\'' | b')' | b']' | b'}' | b',' | b';')
            });
            self.shape(start..end, rules.credentials, "webhook");
            return end;
        }
        start
    }

    /// Where the user's name and password stand in the URL whose authority begins at `start`.
    fn user(&mut self, start: usize) -> Option<Range<usize>> {
        let bytes = self.bytes;
        let end =
            ahead(bytes, start, usize::MAX, |byte| !matches!(byte, b'/' | b'?' | b'#') && !outside(byte));
        if let Some(at) = find_last(b'@', bytes, start, end) {
            return (at > start).then_some(start..at);
        }
        // `user:pass/word@host`: what follows the colon is no port, so the authority goes on.
        let host = ahead(bytes, start, end - start, |byte| byte != b':');
        let port =
            bytes[(host + 1).min(end)..end].iter().all(u8::is_ascii_digit) || bytes.get(start) == Some(&b'[');
        if host == end || port {
            return None;
        }
        if self.token.0 <= end {
            let token = ahead(bytes, start, usize::MAX, |byte| !outside(byte));
            self.token = (token, find_last(b'@', bytes, start, token));
        }
        match self.token {
            (_, Some(at)) if at > start => Some(start..at),
            // No host has such a name: the text was cut off before the `@`.
            (token, _) if end - start > HOST || (token == bytes.len() && token - start > HOST) => {
                Some(start..token)
            }
            _ => None,
        }
    }
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

//! Secrets in a URL: its user part, and the paths of webhooks. Parameters are found by their names.

use std::ops::Range;

use super::bytes::is_name;
use super::marker::MARKER;
use super::search::Search;
use super::steps::{ahead, behind, find, find_last};
use super::treatment::Treatment;
use super::webhooks::path_of_hook;

/// The maximum length of user and password before a host without a scheme.
const USER: usize = 128;

/// The maximum length of a host name (RFC 1035).
const HOST: usize = 255;

impl Search<'_> {
    /// Hides the secrets in the URL whose `://` begins at `sign`. Returns the place where the search continues.
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
            && let Some(start) = path_of_hook(&bytes[start..]).map(|path| start + path)
        {
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

    /// The user name and password in the URL whose authority begins at `start`.
    fn user(&mut self, start: usize) -> Option<Range<usize>> {
        let bytes = self.bytes;
        let end =
            ahead(bytes, start, usize::MAX, |byte| !matches!(byte, b'/' | b'?' | b'#') && !outside(byte));
        if let Some(at) = find_last(b'@', bytes, start, end) {
            return (at > start).then_some(start..at);
        }
        // `user:pass/word@host`: the text after the colon is not a port, so the authority continues.
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
            // Too long for a host name: the text was truncated before the `@`.
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

/// Whether the name that begins at `start` is that of a query parameter.
pub(super) fn in_query(bytes: &[u8], start: usize) -> bool {
    start > 0 && matches!(bytes[start - 1], b'?' | b'&' | b'#')
}

/// Whether `sign` ends the scheme of a URL.
pub(super) fn begins(bytes: &[u8], sign: usize) -> bool {
    bytes[sign..].starts_with(b"://") && sign > 0 && is_name(bytes[sign - 1])
}

/// Calls `each` with the place of every password before a host that has no scheme: `user:…@tcp(db:3306)`,
/// `user:…@db.example.org:5432`.
pub(super) fn each_user(bytes: &[u8], mut each: impl FnMut(Range<usize>)) {
    let mut from = 0;
    while let Some(at) = find(b'@', bytes, from) {
        let before = from;
        from = at + 1;
        let host =
            ahead(bytes, from, HOST, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
        let name = &bytes[from..host];
        let is_host = match bytes.get(host) {
            Some(b'(') => matches!(name, b"tcp" | b"unix"),
            Some(b':') => bytes.get(host + 1).is_some_and(u8::is_ascii_digit) && is_domain(name),
            Some(b'/') => is_domain(name),
            _ => false,
        };
        if !is_host {
            continue;
        }
        let start = behind(bytes, at, USER.min(at - before), |byte| !outside(byte) && byte != b'\'');
        let start = ahead(bytes, start, 2, |byte| byte == b'/');
        let user = ahead(bytes, start, at - start, is_name);
        let is_user = user > start && bytes[user] == b':' && user + 1 < at;
        if is_user && !bytes[user..at].starts_with(b"://") && &bytes[start..user] != b"mailto" {
            each(user + 1..at);
        }
    }
}

/// Whether this is a host name with a domain, or `localhost`.
fn is_domain(name: &[u8]) -> bool {
    let last = name.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    name == b"localhost"
        || (last.len() < name.len() && last.len() > 1 && last.iter().all(u8::is_ascii_alphabetic))
}

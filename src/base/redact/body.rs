//! Redacts the body of a message by its content type.

use std::ops::Range;

use super::csv;
use super::json;
use super::marker::MARKER;
use super::multipart::{Part, header, parameter, parts};
use super::rules::Rules;
use super::search::Format;
use super::steps::count;
use super::treatment::Treatment;

/// The result of redacting a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// It has no secret.
    Clean,
    /// The body without its secrets.
    Changed(Vec<u8>),
    /// It cannot be searched: it is not text, or its encoding is unknown.
    Unsearchable,
}

/// Content types whose bodies are text even if they are not UTF-8.
const TEXTS: &[&[u8]] = &[
    b"text/",
    b"application/json",
    b"application/xml",
    b"application/javascript",
    b"application/x-www-form-urlencoded",
    b"application/yaml",
    b"application/x-yaml",
    b"application/x-ndjson",
    b"application/graphql",
];

/// Content types of bodies that are encrypted or binary without names.
const OPAQUE: &[&[u8]] = &[
    b"application/grpc",
    b"application/pkcs7",
    b"application/x-pkcs7",
    b"application/pgp-encrypted",
    b"application/jose",
    b"multipart/encrypted",
    b"application/protobuf",
    b"application/x-protobuf",
    b"application/vnd.google.protobuf",
];

/// Prefixes of the names of charsets whose bytes below 128 are those of ASCII, or nearly.
const CHARSETS: &[&[u8]] = &[
    b"utf-8",
    b"utf8",
    b"us-ascii",
    b"ascii",
    b"iso-8859-",
    b"iso8859",
    b"latin",
    b"windows-125",
    b"cp125",
    b"koi8-",
    b"gb2312",
    b"gbk",
    b"gb18030",
    b"big5",
    b"euc-",
    b"shift_jis",
    b"shift-jis",
    b"sjis",
    b"windows-31j",
    b"tis-620",
    b"macintosh",
];

/// The maximum nesting of multipart bodies.
const DEEPEST: u8 = 4;

impl Rules {
    /// Removes the secrets from a body. Calls `found` with the name or the shape of each.
    pub(super) fn body(&self, kind: &[u8], body: &[u8], found: &mut dyn FnMut(&str)) -> Body {
        self.part(kind, body, found, 0)
    }

    fn part(&self, kind: &[u8], body: &[u8], found: &mut dyn FnMut(&str), depth: u8) -> Body {
        // A gRPC message without fields is five zeros.
        if body.iter().all(|byte| *byte == 0) {
            return Body::Clean;
        }
        let kind = kind.trim_ascii().to_ascii_lowercase();
        let is = |known: &[&[u8]]| known.iter().any(|known| kind.starts_with(known));
        if is(OPAQUE) || !known_charset(&kind) || depth > DEEPEST {
            return Body::Unsearchable;
        }
        if kind.starts_with(b"multipart/") {
            return self.multipart(&kind, body, found, depth);
        }
        let text = is(TEXTS) || kind.is_empty() || has(&kind, b"+json") || has(&kind, b"+xml");
        if !is_text(body, text) {
            return Body::Unsearchable;
        }
        if let Some(separators) = csv::separators(&kind)
            && let Some(clean) = csv::clean(self, separators, body, found)
        {
            // Other columns may contain other secrets.
            return Body::Changed(self.clean(&clean, Format::Text, found).unwrap_or(clean));
        }
        let format = if kind.starts_with(b"application/x-www-form-urlencoded") {
            Format::Query
        } else {
            json::format_of(body)
        };
        self.clean(body, format, found).map_or(Body::Clean, Body::Changed)
    }

    /// Redacts a multipart body. `kind` is its content type, which contains the boundary.
    fn multipart(&self, kind: &[u8], body: &[u8], found: &mut dyn FnMut(&str), depth: u8) -> Body {
        let Some(parts) = parts(kind, body) else { return Body::Unsearchable };
        let (mut out, mut done, mut changed) = (Vec::with_capacity(body.len()), 0, false);
        let mut put = |place: Range<usize>, instead: &[u8]| {
            out.extend(&body[done..place.start]);
            out.extend(instead);
            (done, changed) = (place.end, true);
        };
        for Part { head, body: place } in parts {
            let (text, headers) = (&body[place.clone()], &body[head.clone()]);
            let disposition = header(headers, b"content-disposition").unwrap_or_default();
            let name = parameter(disposition, b"name").unwrap_or_default();
            // The header itself may contain a secret, for example in a file name.
            if let Some(clean) = self.clean(headers, Format::Text, found) {
                put(head, &clean);
            }
            let rule = self.rule(name, true);
            if rule.treatment != Treatment::Leave && !text.is_empty() && rule.hides(text.trim_ascii()) {
                found(&String::from_utf8_lossy(name));
                put(place, self.replacement(rule.treatment, text).as_bytes());
                continue;
            }
            let coded = header(headers, b"content-transfer-encoding").is_some_and(|coding| {
                !["7bit", "8bit", "binary"]
                    .iter()
                    .any(|plain| coding.trim_ascii().eq_ignore_ascii_case(plain.as_bytes()))
            }) || header(headers, b"content-encoding").is_some();
            let kind = header(headers, b"content-type").unwrap_or_default();
            let clean = if coded && !text.is_empty() {
                Body::Unsearchable
            } else {
                self.part(kind, text, found, depth + 1)
            };
            match clean {
                Body::Clean => {}
                Body::Changed(clean) => put(place, &clean),
                Body::Unsearchable => {
                    found(if name.is_empty() { "part" } else { "file" });
                    put(place, MARKER.as_bytes());
                }
            }
        }
        if !changed {
            return Body::Clean;
        }
        out.extend(&body[done..]);
        Body::Changed(out)
    }
}

/// Whether the body is text in an encoding that extends ASCII. `likely` is set if its content type is that of text.
fn is_text(body: &[u8], likely: bool) -> bool {
    count(body.len());
    let odd = |byte: &u8| matches!(byte, 0..=8 | 14..=26 | 28..=31);
    // UTF-16 and UTF-32 have zeros. Compressed and encrypted data have all bytes.
    if body.iter().any(odd) || body.starts_with(b"\xFF\xFE") || body.starts_with(b"\xFE\xFF") {
        return false;
    }
    match std::str::from_utf8(body) {
        Ok(_) => true,
        // It was truncated within a character, or has another charset.
        Err(error) => error.error_len().is_none() || likely,
    }
}

fn known_charset(kind: &[u8]) -> bool {
    parameter(kind, b"charset").is_none_or(|charset| CHARSETS.iter().any(|known| charset.starts_with(known)))
}

fn has(kind: &[u8], part: &[u8]) -> bool {
    kind.windows(part.len()).any(|window| window == part)
}

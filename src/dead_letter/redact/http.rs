//! Removes secrets from an HTTP request.

use std::sync::atomic::Ordering;

use super::redactor::{LetterRedactor, note};
use super::signed::Signed;
use crate::base::redact::{Body, Format, Treatment};
use crate::dead_letter::letter::{BodyState, HeaderText, HttpRequest, Redaction};

/// The content headers of a request.
#[derive(Default)]
struct Content {
    media_type: Vec<u8>,
    /// Whether the body is compressed, or has two types. Readers could take a body of two types for either.
    unsearchable: bool,
}

impl Content {
    fn of(headers: &[(String, HeaderText)]) -> Self {
        let mut content = Self::default();
        for (name, value) in headers {
            let value = value.as_bytes();
            match name.as_str() {
                "content-type" => {
                    content.unsearchable |= !content.media_type.is_empty() && content.media_type != value;
                    content.media_type = value.to_vec();
                }
                "content-encoding" => {
                    content.unsearchable |=
                        !value.trim_ascii().eq_ignore_ascii_case(b"identity") && !value.is_empty();
                }
                _ => {}
            }
        }
        content
    }
}

impl HttpRequest {
    /// Removes the secrets, or the whole body if it cannot be searched. The log then names `queue`.
    pub(in crate::dead_letter) fn redact(
        &mut self,
        queue: &str,
        redactor: &LetterRedactor,
        redacted: &mut Vec<Redaction>,
    ) {
        let mut found = Vec::new();
        if let Some(uri) = redactor.uri(&self.uri, &mut found) {
            self.uri = uri;
        }
        redacted.extend(found.drain(..).map(Redaction::Uri));
        let content = Content::of(&self.headers);
        for (name, value) in self.headers.iter_mut().chain(&mut self.trailers) {
            if redactor.header(name, value) {
                redacted.push(Redaction::Header(name.clone()));
            }
        }
        if self.body.is_empty() {
            return;
        }
        let searched = if content.unsearchable {
            Body::Unsearchable
        } else {
            redactor.redactor.body(&content.media_type, &self.body, &mut |name| note(&mut found, name))
        };
        match searched {
            Body::Clean => {}
            Body::Changed(clean) => {
                self.body = clean;
                redacted.extend(found.into_iter().map(Redaction::Body));
            }
            Body::Unsearchable if redactor.opaque_bodies => {}
            Body::Unsearchable => {
                redactor.warn_unsearched(queue, &content.media_type, self.body.len());
                self.body_state = BodyState::Unsearched(self.body.len() as u64);
                self.body = Vec::new();
            }
        }
    }
}

impl LetterRedactor {
    /// Redacts the user and the query of a URI. `None` if there was nothing to redact.
    fn uri(&self, uri: &str, found: &mut Vec<String>) -> Option<String> {
        let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
        let before = found.len();
        let mut clean = self
            .uri
            .redact(path, Format::Text, &mut |name| note(found, name))
            .unwrap_or_else(|| path.to_owned());
        if let Some(query) = query {
            let signed = Signed::of(query, |name| self.named.treatment(name) != Treatment::Leave);
            for (place, pair) in query.split('&').enumerate() {
                clean.push(if place == 0 { '?' } else { '&' });
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                match signed.keeps(name) {
                    Some(true) => clean.push_str(pair),
                    Some(false) if !value.is_empty() => {
                        note(found, name);
                        let replacement = self.redactor.replacement(Treatment::Mask, value.as_bytes());
                        clean.extend([name, "=", &replacement]);
                    }
                    _ => {
                        let pair = self
                            .uri
                            .redact(pair, Format::Query, &mut |name| note(found, name))
                            .unwrap_or_else(|| pair.to_owned());
                        clean.push_str(&pair);
                    }
                }
            }
        }
        (found.len() > before).then_some(clean)
    }

    /// Redacts a header or a trailer. Returns whether there was anything to redact.
    fn header(&self, name: &str, value: &mut HeaderText) -> bool {
        let rule = self.redactor.rule(name);
        if rule.hides(value.as_bytes()) && !value.as_bytes().is_empty() {
            let replacement = self.redactor.replacement(rule.treatment, value.as_bytes());
            *value = HeaderText::Text(replacement.into_owned());
            return true;
        }
        // Such as the query of a `referer` header. It need not be UTF-8.
        match self.redactor.redact_bytes(value.as_bytes(), &mut |_| ()) {
            Some(clean) => *value = HeaderText::from(clean.as_slice()),
            None => return false,
        }
        true
    }

    /// Logs that a body is not stored: for the first one, and each time their number doubles.
    fn warn_unsearched(&self, queue: &str, media_type: &[u8], bytes: usize) {
        let count = self.unsearched.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if !count.is_power_of_two() {
            return;
        }
        tracing::warn!(
            queue,
            count,
            "a dead letter is stored without its body and will not be redriven: {bytes} bytes of {} cannot be searched \
             for secrets; `opaque_bodies(true)` stores such bodies in clear",
            loggable(media_type)
        );
    }
}

/// A media type for the log. Its sender may have written anything.
fn loggable(media_type: &[u8]) -> &str {
    let kind = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+' | b'.' | b'-');
    match std::str::from_utf8(kind) {
        Ok("") => "no type",
        Ok(text) if text.len() <= 64 && kind.iter().all(plain) => text,
        _ => "an odd type",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::settings::DeadLetterSettings;

    fn redactor() -> LetterRedactor {
        LetterRedactor::new(&DeadLetterSettings::default()).unwrap()
    }

    #[test]
    fn a_uri_keeps_what_is_no_secret() {
        let mut found = Vec::new();
        let redactor = redactor();
        assert_eq!(
            redactor.uri("http://me:pw@host:80/a?x=1&access%5Ftoken=abc&y", &mut found).as_deref(),
            Some("http://[redacted]@host:80/a?x=1&access%5Ftoken=[redacted]&y")
        );
        assert_eq!(found, ["user", "access%5Ftoken"]);
        assert_eq!(
            redactor.uri("http://me:pw@[::1]:80/a/?token=abc", &mut Vec::new()).as_deref(),
            Some("http://[redacted]@[::1]:80/a/?token=[redacted]")
        );
        assert_eq!(redactor.uri("/a@b?x=1", &mut Vec::new()), None);
    }

    #[test]
    fn a_body_is_redacted_by_what_it_is_in_place() {
        let redactor = redactor();
        let of = |kind: &str, body: &[u8]| {
            let body = redactor.redactor.body(kind.as_bytes(), body, &mut |_| ());
            match body {
                Body::Changed(body) => Some(String::from_utf8(body).unwrap()),
                Body::Clean => None,
                Body::Unsearchable => Some("unsearchable".to_owned()),
            }
        };
        assert_eq!(
            of("application/json", br#" {"z": 1.50,  "password":"x","b":1e3,"a":"\u00e9"}"#).as_deref(),
            Some(r#" {"z": 1.50,  "password":"[redacted]","b":1e3,"a":"\u00e9"}"#)
        );
        assert_eq!(of("application/json", br#"{"b": 1, "token": null}"#), None);
        let twice = of("application/json", br#"{"password": "x", "password": null}"#);
        assert_eq!(twice.as_deref(), Some(r#"{"password": "[redacted]", "password": null}"#));
        assert_eq!(
            of("application/x-www-form-urlencoded", b"a=1&pwd=x").as_deref(),
            Some("a=1&pwd=[redacted]")
        );
        assert_eq!(of("application/octet-stream", &[0xff, 0xfe, 1]).as_deref(), Some("unsearchable"));
        assert_eq!(of("text/plain", b"token=abc").as_deref(), Some("token=[redacted]"));
    }
}

//! Secrets, removed before anything is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::letter::{BodyState, HeaderText, HttpRequest, Redaction};
use super::settings::DeadLetterSettings;
use super::signed;
use crate::base::cut::cut;
use crate::base::error::ConfigError;
use crate::base::redact::{
    Body, Format, RedactionSettings, Redactor, Rule, Treatment, is_name_of, is_value_of,
};

/// Removes secrets from requests and from what errors said.
#[derive(Clone, Debug)]
pub(super) struct LetterRedactor {
    redactor: Redactor,
    /// For what errors said, which is of no use for sending the request again.
    messages: Redactor,
    /// For the URI of a request, which is of no use without its signature.
    uri: Redactor,
    /// What the settings name beside the defaults.
    asked: Redactor,
    /// Whether bodies are stored that cannot be searched.
    opaque: bool,
    /// Bodies that were not stored since they could not be searched.
    unsearched: Arc<AtomicU64>,
}

impl LetterRedactor {
    pub(super) fn new(settings: &DeadLetterSettings) -> Result<Self, ConfigError> {
        let mut redaction = settings.redaction.clone().mask(settings.redact.iter().cloned());
        redaction.defaults &= settings.redact_defaults;
        let mut messages = redaction.clone();
        if settings.redaction == RedactionSettings::names_only() {
            (messages.cards, messages.emails) = (Treatment::Mask, Treatment::Mask);
        }
        let built = |redaction: &RedactionSettings| {
            Redactor::from_settings(redaction).map_err(|error| error.within("redaction"))
        };
        let (redactor, messages) = (built(&redaction)?, built(&messages)?);
        let asked = redaction.names.iter().filter(|(_, treatment)| **treatment != Treatment::Leave);
        let asked =
            Redactor::from_settings(&RedactionSettings::off().mask(asked.map(|(name, _)| name.clone())))?;
        Ok(Self {
            uri: redactor.without_signatures(),
            redactor,
            messages,
            asked,
            opaque: settings.opaque_bodies,
            unsearched: Arc::default(),
        })
    }

    /// Redacts the fields of `value` at any depth; their names go into `found`.
    pub(super) fn value(&self, value: &mut Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                // `{"name": "password", "value": …}`
                let named = fields.iter().find_map(|(name, value)| {
                    let secret = value.as_str().filter(|_| is_name_of(name.as_bytes()))?;
                    let rule = self.redactor.rule(secret);
                    (rule.treatment != Treatment::Leave).then(|| (rule, secret.to_owned()))
                });
                for (name, field) in fields {
                    let rule = self.redactor.rule(name);
                    match &named {
                        _ if self.hide(rule, field) => note(found, name),
                        Some((rule, secret)) if is_value_of(name.as_bytes()) && self.hide(*rule, field) => {
                            note(found, secret);
                        }
                        _ => self.value(field, found),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item, found)),
            // A document inside a string hides secrets as well as one outside.
            Value::String(text) => {
                if let Some(redacted) = self.text(text, found) {
                    *text = redacted;
                }
            }
            Value::Number(number) => {
                if let Some(redacted) = number.as_u64().and_then(|number| self.redactor.number(number)) {
                    *value = Value::String(redacted.into_owned());
                    note(found, "card");
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// Hides a field if `rule` says so; whether it did.
    fn hide(&self, rule: Rule, field: &mut Value) -> bool {
        let text = match &mut *field {
            _ if rule.treatment == Treatment::Leave => return false,
            // Nothing and a truth are no secrets.
            Value::Null | Value::Bool(_) => return false,
            Value::String(text) if text.is_empty() => return false,
            Value::String(text) => std::mem::take(text),
            other => other.to_string(),
        };
        if !rule.hides(text.as_bytes()) {
            if let Value::String(field) = field {
                *field = text;
            }
            return false;
        }
        *field = Value::String(self.redactor.replacement(rule.treatment, text.as_bytes()).into_owned());
        true
    }

    /// Redacts all that looks like a secret in a text.
    pub(super) fn text(&self, text: &str, found: &mut Vec<String>) -> Option<String> {
        self.redactor.redact(text, Format::Text, &mut |name| note(found, name))
    }

    /// Redacts a message of an error, unless the settings say otherwise by all rules.
    pub(super) fn message(&self, text: &str) -> Option<String> {
        self.messages.redact(text, Format::Text, &mut |_| ())
    }

    /// Redacts the value of `name`, by the name and by what it looks like.
    pub(super) fn named(&self, name: &str, value: &str) -> String {
        self.redactor.value(name, value).into_owned()
    }

    /// Redacts the user's part and the query of the URI of a request.
    fn uri(&self, uri: &str, found: &mut Vec<String>) -> Option<String> {
        let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
        let before = found.len();
        let mut clean = self
            .uri
            .redact(path, Format::Text, &mut |name| note(found, name))
            .unwrap_or_else(|| path.to_owned());
        if let Some(query) = query {
            let signed = signed::Signed::of(query, |name| self.asked.treatment(name) != Treatment::Leave);
            for (place, pair) in query.split('&').enumerate() {
                clean.push(if place == 0 { '?' } else { '&' });
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                match signed.verdict(name) {
                    Some(true) => clean.push_str(pair),
                    Some(false) if !value.is_empty() => {
                        note(found, name);
                        let gone = self.redactor.replacement(Treatment::Mask, value.as_bytes());
                        clean.extend([name, "=", &gone]);
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

    /// Redacts a header or a trailer; whether there was anything to redact.
    fn header(&self, name: &str, value: &mut HeaderText) -> bool {
        let rule = self.redactor.rule(name);
        if rule.hides(value.as_bytes()) && !value.as_bytes().is_empty() {
            let gone = self.redactor.replacement(rule.treatment, value.as_bytes());
            *value = HeaderText::Text(gone.into_owned());
            return true;
        }
        // Such as the query of a referrer, which need not be UTF-8.
        match self.redactor.redact_bytes(value.as_bytes(), &mut |_| ()) {
            Some(clean) => *value = HeaderText::from(clean.as_slice()),
            None => return false,
        }
        true
    }

    /// Says that a body of `bytes` is not stored: the first time, and each time the number of them doubles.
    fn tell_unsearched(&self, queue: &str, kind: &[u8], bytes: usize) {
        let count = self.unsearched.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if !count.is_power_of_two() {
            return;
        }
        tracing::warn!(
            queue,
            count,
            "a dead letter is stored without its body and will not be redriven: {bytes} bytes of {} cannot be searched \
             for secrets; `opaque_bodies(true)` stores such bodies in clear",
            shown_type(kind)
        );
    }
}

/// A media type as the log may tell it: its sender can write anything there.
fn shown_type(kind: &[u8]) -> &str {
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+' | b'.' | b'-');
    match std::str::from_utf8(kind) {
        Ok("") => "no type",
        Ok(text) if text.len() <= 64 && kind.iter().all(plain) => text,
        _ => "an odd type",
    }
}

/// The most names of a part of a letter that are told, and bytes of each: a request may have a secret in each line.
const NAMES: usize = 64;
const NAME: usize = 128;

fn note(found: &mut Vec<String>, name: &str) {
    let name = cut(name, NAME);
    if found.len() < NAMES && !found.iter().any(|known| known == name) {
        found.push(name.to_owned());
    }
}

/// What the headers of a request say about its body.
#[derive(Default)]
struct Content {
    kind: Vec<u8>,
    /// Whether it is compressed, or of two types at once: what it is then depends on the reader.
    sealed: bool,
}

impl Content {
    fn of(headers: &[(String, HeaderText)]) -> Self {
        let mut content = Self::default();
        for (name, value) in headers {
            let value = value.as_bytes();
            match name.as_str() {
                "content-type" => {
                    content.sealed |= !content.kind.is_empty() && content.kind != value;
                    content.kind = value.to_vec();
                }
                "content-encoding" => {
                    content.sealed |=
                        !value.trim_ascii().eq_ignore_ascii_case(b"identity") && !value.is_empty();
                }
                _ => {}
            }
        }
        content
    }
}

impl HttpRequest {
    /// Takes out the secrets, or the whole body where it cannot be searched; `queue` is named in the log then.
    pub(super) fn redact(&mut self, queue: &str, redactor: &LetterRedactor, redacted: &mut Vec<Redaction>) {
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
        let searched = if content.sealed {
            Body::Unsearchable
        } else {
            redactor.redactor.body(&content.kind, &self.body, &mut |name| note(&mut found, name))
        };
        match searched {
            Body::Clean => {}
            Body::Changed(clean) => {
                self.body = clean;
                redacted.extend(found.into_iter().map(Redaction::Body));
            }
            Body::Unsearchable if redactor.opaque => {}
            Body::Unsearchable => {
                redactor.tell_unsearched(queue, &content.kind, self.body.len());
                self.body_state = BodyState::Unsearched(self.body.len() as u64);
                self.body = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::redact::MARKER;
    use serde_json::json;

    fn redactor() -> LetterRedactor {
        LetterRedactor::new(&DeadLetterSettings::default()).unwrap()
    }

    #[test]
    fn values_are_redacted_at_any_depth() {
        let mut found = Vec::new();
        let mut value =
            json!({"id": 7, "card": [{"api_key": 12, "n": null}], "password": null, "raw": "token=x1"});
        redactor().value(&mut value, &mut found);
        assert_eq!(
            value,
            json!({"id": 7, "card": [{"api_key": MARKER, "n": null}], "password": null, "raw": "token=[redacted]"})
        );
        assert_eq!(found, ["api_key", "token"]);
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

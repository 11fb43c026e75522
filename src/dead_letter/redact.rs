//! Secrets, removed before anything is stored.

use serde_json::Value;

use super::letter::{HeaderText, HttpRequest, Redaction};
use super::settings::DeadLetterSettings;
use crate::error::ConfigError;
use crate::redact::{MARKER, Redactor, Sort, Treatment};

/// Removes secrets from requests and from what errors said.
#[derive(Clone, Debug)]
pub(super) struct LetterRedactor {
    redactor: Redactor,
    /// Whether bodies are stored that cannot be searched.
    opaque: bool,
}

impl LetterRedactor {
    pub(super) fn new(settings: &DeadLetterSettings) -> Result<Self, ConfigError> {
        let mut redaction = settings.redaction.clone().mask(settings.redact.iter().cloned());
        redaction.defaults &= settings.redact_defaults;
        let redactor = redaction.build().map_err(|error| error.within("redaction"))?;
        // A URL that lost its signature is of no use when the request is sent again.
        Ok(Self { redactor: redactor.without_signatures(), opaque: settings.opaque_bodies })
    }

    /// Redacts the fields of `value` at any depth; their names go into `found`.
    pub(super) fn value(&self, value: &mut Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    if field.is_null() {
                        continue;
                    }
                    match self.redactor.treatment(name) {
                        Treatment::Leave => self.value(field, found),
                        treatment => {
                            let redacted = match &*field {
                                Value::String(text) => self.redactor.replacement(treatment, text),
                                field => self.redactor.replacement(treatment, &field.to_string()),
                            };
                            *field = Value::String(redacted.into_owned());
                            note(found, name);
                        }
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

    /// Redacts whatever looks like a secret in a text.
    pub(super) fn text(&self, text: &str, found: &mut Vec<String>) -> Option<String> {
        self.redactor.redact(text, Sort::Text, &mut |name| note(found, name))
    }

    /// Redacts the value of `name`, by the name and by what it looks like.
    pub(super) fn named(&self, name: &str, value: &str) -> String {
        self.redactor.value(name, value).into_owned()
    }

    /// Redacts `name=value` pairs that stand between `&`, as a query and a form have them.
    fn pairs(&self, pairs: &str, found: &mut Vec<String>) -> Option<String> {
        self.redactor.redact(pairs, Sort::Query, &mut |name| note(found, name))
    }

    /// Redacts the user's part and the query of a URI.
    fn uri(&self, uri: &str, found: &mut Vec<String>) -> Option<String> {
        let (path, query) = uri.split_once('?').map_or((uri, None), |(path, query)| (path, Some(query)));
        let clean_path = self.text(path, found);
        let clean_query = query.and_then(|query| self.pairs(query, found));
        if clean_path.is_none() && clean_query.is_none() {
            return None;
        }
        let mut clean = clean_path.unwrap_or_else(|| path.to_owned());
        if let Some(query) = query {
            clean.push('?');
            clean.push_str(clean_query.as_deref().unwrap_or(query));
        }
        Some(clean)
    }

    /// Redacts a body by what it is: JSON, a form, or text. Other bytes are left as they are.
    fn body(&self, content_type: &str, body: &[u8], found: &mut Vec<String>) -> Option<Vec<u8>> {
        let content_type = content_type.to_ascii_lowercase();
        let text = std::str::from_utf8(body).ok();
        if content_type.starts_with("multipart/") {
            // The name stands apart from the value, and the value may be anything: all of it goes.
            let body = String::from_utf8_lossy(body);
            let names = body.split("name=").skip(1).map(|rest| rest.trim_start_matches('"'));
            let names = names.map(|rest| rest.split(['"', ';', '\r', '\n']).next().unwrap_or_default());
            let secret: Vec<&str> =
                names.filter(|name| self.redactor.treatment(name) != Treatment::Leave).collect();
            secret.iter().for_each(|name| note(found, name));
            return (!secret.is_empty()).then(|| MARKER.as_bytes().to_vec());
        }
        if content_type.starts_with("application/x-www-form-urlencoded") {
            return self.pairs(text?, found).map(String::into_bytes);
        }
        if let Ok(mut value) = serde_json::from_slice::<Value>(body) {
            let before = found.len();
            self.value(&mut value, found);
            if found.len() > before {
                return serde_json::to_vec(&value).ok();
            }
            // Of a field that stands twice only the last was seen; the text shows both.
        }
        self.text(text?, found).map(String::into_bytes)
    }
}

fn note(found: &mut Vec<String>, name: &str) {
    if !found.iter().any(|known| known == name) {
        found.push(name.to_owned());
    }
}

impl HttpRequest {
    pub(super) fn redact(&mut self, redactor: &LetterRedactor, redacted: &mut Vec<Redaction>) {
        let mut found = Vec::new();
        if let Some(uri) = redactor.uri(&self.uri, &mut found) {
            self.uri = uri;
        }
        redacted.extend(found.drain(..).map(Redaction::Uri));
        let (mut content_type, mut is_encoded) = ("", false);
        for (name, value) in self.headers.iter_mut().chain(&mut self.trailers) {
            let treatment = redactor.redactor.treatment(name);
            if treatment != Treatment::Leave {
                let secret = String::from_utf8_lossy(value.as_bytes());
                *value = HeaderText::Text(redactor.redactor.replacement(treatment, &secret).into_owned());
                redacted.push(Redaction::Header(name.clone()));
            } else if let HeaderText::Text(text) = value {
                // Such as the query of a referrer.
                if let Some(clean) = redactor.text(text, &mut found) {
                    *text = clean;
                    redacted.push(Redaction::Header(name.clone()));
                }
                match name.as_str() {
                    "content-type" => content_type = text,
                    "content-encoding" => is_encoded |= text != "identity",
                    _ => {}
                }
            }
        }
        found.clear();
        let is_opaque = is_encoded || std::str::from_utf8(&self.body).is_err();
        if is_opaque && !redactor.opaque && !self.body.is_empty() {
            self.body = MARKER.as_bytes().to_vec();
            redacted.push(Redaction::Body("all of it".to_owned()));
            return;
        }
        if let Some(body) = redactor.body(content_type, &self.body, &mut found) {
            self.body = body;
        }
        redacted.extend(found.into_iter().map(Redaction::Body));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn a_body_is_redacted_by_what_it_is() {
        let redactor = redactor();
        let of = |kind: &str, body: &[u8]| {
            redactor.body(kind, body, &mut Vec::new()).map(|body| String::from_utf8(body).unwrap())
        };
        assert_eq!(
            of("application/json", br#"{"password":"x","b":1}"#).as_deref(),
            Some(r#"{"b":1,"password":"[redacted]"}"#)
        );
        assert_eq!(of("application/json", br#"{"b": 1, "token": null}"#), None);
        let twice = of("application/json", br#"{"password": "x", "password": null}"#);
        assert_eq!(twice.as_deref(), Some(r#"{"password": "[redacted]", "password": null}"#));
        assert_eq!(
            of("application/x-www-form-urlencoded", b"a=1&pwd=x").as_deref(),
            Some("a=1&pwd=[redacted]")
        );
        let multipart = b"--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nhunter2\r\n--x--";
        assert_eq!(of("multipart/form-data; boundary=x", multipart).as_deref(), Some(MARKER));
        assert_eq!(of("application/octet-stream", &[0xff, 0xfe, 1]), None);
        assert_eq!(of("text/plain", b"token=abc").as_deref(), Some("token=[redacted]"));
    }
}

//! Secrets, removed before anything is stored.

use serde_json::Value;

use super::letter::{HeaderText, HttpRequest, Redaction};

/// What stands where a secret stood.
pub(super) const MARKER: &str = "[redacted]";

/// What is redacted unless someone says otherwise.
const DEFAULT: &[&str] = &[
    "authorization",
    "cookie",
    "set-cookie",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api-key",
    "private-key",
    "access-key",
    "credential",
    "credentials",
    "jwt",
    "pwd",
];

/// Knows the names whose values are secret.
///
/// A name is compared word by word, whatever its style: `token` is found in `X-Auth-Token`, `access_token` and
/// `accessToken`, and not in `max_tokens`.
#[derive(Clone, Debug)]
pub(super) struct Redactor {
    /// Each name as its words, and as one word.
    names: Vec<(Vec<String>, String)>,
}

impl Redactor {
    pub(super) fn new(defaults: bool, names: &[String]) -> Self {
        let defaults = DEFAULT.iter().copied().filter(|_| defaults);
        let names = defaults.chain(names.iter().map(String::as_str)).map(|name| {
            let words = words(name);
            let squashed = words.concat();
            (words, squashed)
        });
        Self { names: names.filter(|(words, _)| !words.is_empty()).collect() }
    }

    /// Whether what goes by `name` is secret.
    pub(super) fn is_secret(&self, name: &str) -> bool {
        let words = words(name);
        if words.is_empty() {
            return false;
        }
        let squashed = words.concat();
        self.names.iter().any(|(secret, as_one)| {
            *as_one == squashed
                || words.iter().any(|word| word == as_one)
                || words.windows(secret.len()).any(|window| window == secret)
        })
    }

    /// Redacts the fields of `value` at any depth; their names go into `found`.
    pub(super) fn value(&self, value: &mut Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    if field.is_null() {
                        continue;
                    }
                    if self.is_secret(name) {
                        *field = Value::String(MARKER.to_owned());
                        note(found, name);
                    } else {
                        self.value(field, found);
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
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Redacts `name=value` pairs that stand between `&`, as a query and a form have them.
    pub(super) fn pairs(&self, pairs: &str, found: &mut Vec<String>) -> Option<String> {
        let mut changed = false;
        let redacted: Vec<String> = pairs
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((name, value)) if !value.is_empty() && self.is_secret(&decoded(name)) => {
                    changed = true;
                    note(found, name);
                    format!("{name}={MARKER}")
                }
                _ => pair.to_owned(),
            })
            .collect();
        changed.then(|| redacted.join("&"))
    }

    /// Redacts the user's part and the query of a URI.
    pub(super) fn uri(&self, uri: &str, found: &mut Vec<String>) -> Option<String> {
        let without_user = user_info(uri).map(|(start, end)| {
            note(found, "user");
            format!("{}{MARKER}{}", &uri[..start], &uri[end..])
        });
        let rest = without_user.as_deref().unwrap_or(uri);
        let redacted = rest
            .split_once('?')
            .and_then(|(path, query)| self.pairs(query, found).map(|query| format!("{path}?{query}")));
        redacted.or(without_user)
    }

    /// Redacts a body by what it is: JSON, a form, or text. Other bytes are left as they are.
    pub(super) fn body(&self, content_type: &str, body: &[u8], found: &mut Vec<String>) -> Option<Vec<u8>> {
        let content_type = content_type.to_ascii_lowercase();
        let text = std::str::from_utf8(body).ok();
        if content_type.starts_with("multipart/") {
            // The name stands apart from the value, and the value may be anything: all of it goes.
            let body = String::from_utf8_lossy(body);
            let names = body.split("name=").skip(1).map(|rest| rest.trim_start_matches('"'));
            let names = names.map(|rest| rest.split(['"', ';', '\r', '\n']).next().unwrap_or_default());
            let secret: Vec<&str> = names.filter(|name| self.is_secret(name)).collect();
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

    /// Redacts what stands after a secret name and `=`, `:` or the end of a tag, after `Bearer` and `Basic`, and
    /// the user's part of URLs.
    pub(super) fn text(&self, text: &str, found: &mut Vec<String>) -> Option<String> {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        let mut at = 0;
        while let Some((start, end)) = next_name(text, at) {
            at = end;
            let name = &text[start..end];
            let secret = if name.eq_ignore_ascii_case("bearer") || name.eq_ignore_ascii_case("basic") {
                // "basic" is a word of its own too; credentials are long and without blanks.
                let value = text[end..].strip_prefix(' ').map_or(0, token_length);
                (value >= 8).then_some((end + 1, end + 1 + value))
            } else if text[end..].starts_with("://") {
                user_info(&text[start..]).map(|(from, to)| (start + from, start + to))
            } else if self.is_secret(name) {
                value_after(text, end)
            } else {
                None
            };
            if let Some((from, to)) = secret
                && &text[from..to] != MARKER
            {
                note(found, name);
                out.push_str(&text[done..from]);
                out.push_str(MARKER);
                done = to;
                at = to;
            }
        }
        if done == 0 {
            return None;
        }
        out.push_str(&text[done..]);
        Some(out)
    }
}

fn note(found: &mut Vec<String>, name: &str) {
    if !found.iter().any(|known| known == name) {
        found.push(name.to_owned());
    }
}

/// The words of a name in lower case: `X-Auth-Token`, `x_auth_token` and `xAuthToken` are the same.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut after_lower = false;
    for c in name.chars() {
        if !word.is_empty() && (!c.is_alphanumeric() || (c.is_uppercase() && after_lower)) {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase() || c.is_numeric();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// A name of a query as it was meant; `%5F` hides nothing.
fn decoded(name: &str) -> String {
    let bytes = name.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = (byte == b'%').then(|| name.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the user's name and password of a URI stand.
fn user_info(uri: &str) -> Option<(usize, usize)> {
    let start = uri.find("://")? + 3;
    let authority = uri[start..].find(['/', '?', '#', ' ', '"', '\n']).map_or(uri.len(), |end| start + end);
    let end = start + uri[start..authority].rfind('@')?;
    (end > start).then_some((start, end))
}

/// The next run of the characters that names are made of.
fn next_name(text: &str, from: usize) -> Option<(usize, usize)> {
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let start = from + text[from..].find(part)?;
    let end = text[start..].find(|c: char| !part(c)).map_or(text.len(), |end| start + end);
    Some((start, end))
}

fn token_length(text: &str) -> usize {
    text.find(|c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '<' | '>' | ')' | ']' | '}')
    })
    .unwrap_or(text.len())
}

/// The length of the list or object that `text` begins with; all of it when its end is missing.
fn nested(text: &str) -> usize {
    let mut depth = 0_usize;
    for (place, c) in text.char_indices() {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return place + c.len_utf8();
        }
    }
    text.len()
}

/// Where the value stands that belongs to the name that ends at `end`.
fn value_after(text: &str, end: usize) -> Option<(usize, usize)> {
    let mut rest = text[end..].chars().peekable();
    let mut at = end;
    let mut skip = |rest: &mut std::iter::Peekable<std::str::Chars<'_>>, of: &dyn Fn(char) -> bool| {
        let from = at;
        while let Some(c) = rest.next_if(|c| of(*c)) {
            at += c.len_utf8();
        }
        (at > from, at)
    };
    // The name may be quoted, with the quotes escaped where a document lies in a string.
    skip(&mut rest, &|c| matches!(c, '"' | '\'' | '\\' | ']' | ' '));
    let sign = rest.peek().copied()?;
    if !matches!(sign, '=' | ':' | '>') {
        return None;
    }
    let (_, _) = skip(&mut rest, &|c| matches!(c, '=' | ':' | '>'));
    let (_, unquoted) = skip(&mut rest, &|c| matches!(c, ' ' | '\t'));
    let (quoted, start) = skip(&mut rest, &|c| matches!(c, '"' | '\'' | '\\'));
    let start = if quoted { start } else { unquoted };
    let rest = &text[start..];
    let length = match sign {
        _ if quoted => rest.find(['"', '\'']).unwrap_or(rest.len()),
        '>' => rest.find('<').unwrap_or(rest.len()),
        _ if rest.starts_with(['[', '{']) => nested(rest),
        // A header's value goes on to the end of its line.
        ':' => rest.find(['\n', '\r', ',', ';', '"', '\'', ')', '}', ']', '<']).unwrap_or(rest.len()),
        _ => rest.find(|c: char| c.is_whitespace() || "&;,\"')}]<".contains(c)).unwrap_or(rest.len()),
    };
    let length = rest[..length].trim_end().len();
    (length > 0 && &rest[..length] != "null").then_some((start, start + length))
}

impl HttpRequest {
    pub(super) fn redact(&mut self, redactor: &Redactor, redacted: &mut Vec<Redaction>) {
        let mut found = Vec::new();
        if let Some(uri) = redactor.uri(&self.uri, &mut found) {
            self.uri = uri;
        }
        redacted.extend(found.drain(..).map(Redaction::Uri));
        let mut content_type = "";
        for (name, value) in &mut self.headers {
            if redactor.is_secret(name) {
                *value = HeaderText::Text(MARKER.to_owned());
                redacted.push(Redaction::Header(name.clone()));
            } else if let HeaderText::Text(text) = value {
                // Such as the query of a referrer.
                if let Some(clean) = redactor.text(text, &mut found) {
                    *text = clean;
                    redacted.push(Redaction::Header(name.clone()));
                }
                if name == "content-type" {
                    content_type = text;
                }
            }
        }
        found.clear();
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

    fn redactor() -> Redactor {
        Redactor::new(true, &["Pin Code".to_owned()])
    }

    #[test]
    fn a_name_is_compared_word_by_word() {
        let redactor = redactor();
        for secret in [
            "Authorization",
            "proxy-authorization",
            "apiKey",
            "apikey",
            "X-API-KEY",
            "access_token",
            "userPassword",
            "DB_PASSWORD",
            "pin_code",
            "pinCode",
            "secret",
        ] {
            assert!(redactor.is_secret(secret), "{secret}");
        }
        for open in ["max_tokens", "author", "idempotency-key", "pin", "", "content-type", "cookies_accepted"]
        {
            assert!(!redactor.is_secret(open), "{open}");
        }
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
        assert_eq!(redactor.uri("/a@b?x=1", &mut Vec::new()), None);
    }

    #[test]
    fn text_is_searched_for_pairs() {
        let redactor = redactor();
        let of = |text: &str| redactor.text(text, &mut Vec::new());
        for (text, redacted) in [
            ("token=abc&x=1", "token=[redacted]&x=1"),
            ("bad password: hunter2, sorry", "bad password: [redacted], sorry"),
            (r#"{"password": "a b", "x": 1"#, r#"{"password": "[redacted]", "x": 1"#),
            (r#"{\"secret\":\"ab\"}"#, r#"{\"secret\":\"[redacted]"}"#),
            ("<token>abc</token>", "<token>[redacted]</token>"),
            ("Authorization: Bearer abcdefghijk\nHost: h", "Authorization: [redacted]\nHost: h"),
            ("sent Bearer abcdefghijk to it", "sent Bearer [redacted] to it"),
            ("GET http://u:p@h/ failed", "GET http://[redacted]@h/ failed"),
            ("token=é, ok", "token=[redacted], ok"),
            (r#"{"token": ["a", {"b": "c"}], "x": 1}"#, r#"{"token": [redacted], "x": 1}"#),
            (r#"{"token": ["a", "b"#, r#"{"token": [redacted]"#),
        ] {
            assert_eq!(of(text).as_deref(), Some(redacted), "{text}");
        }
        for open in ["the token was refused", "basic needs", "max_tokens=5", "", "http://h/p@q", "password: "]
        {
            assert_eq!(of(open), None, "{open}");
        }
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

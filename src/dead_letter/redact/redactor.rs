//! Removes secrets from plain requests and from the messages of errors.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde_json::Value;

use crate::base::cut::cut;
use crate::base::error::ConfigError;
use crate::base::redact::{Format, RedactionSettings, Redactor, Rule, Treatment, is_name_of, is_value_of};
use crate::dead_letter::settings::DeadLetterSettings;

/// Removes secrets from requests and from messages of errors.
#[derive(Clone, Debug)]
pub(in crate::dead_letter) struct LetterRedactor {
    pub(super) redactor: Redactor,
    /// For messages of errors, which a redrive does not send.
    messages: Redactor,
    /// For the URI of a request, which cannot be sent without its signature.
    pub(super) uri: Redactor,
    /// The names that the settings add to the defaults.
    pub(super) named: Redactor,
    /// Whether bodies are stored that cannot be searched for secrets.
    pub(super) opaque_bodies: bool,
    /// How many bodies were not stored because they could not be searched.
    pub(super) unsearched: Arc<AtomicU64>,
}

impl LetterRedactor {
    pub(in crate::dead_letter) fn new(settings: &DeadLetterSettings) -> Result<Self, ConfigError> {
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
        let named = redaction.names.iter().filter(|(_, treatment)| **treatment != Treatment::Leave);
        let named =
            Redactor::from_settings(&RedactionSettings::off().mask(named.map(|(name, _)| name.clone())))?;
        Ok(Self {
            uri: redactor.without_signatures(),
            redactor,
            messages,
            named,
            opaque_bodies: settings.opaque_bodies,
            unsearched: Arc::default(),
        })
    }

    /// Redacts the fields of `value` at any depth, and adds their names to `found`.
    pub(in crate::dead_letter) fn value(&self, value: &mut Value, found: &mut Vec<String>) {
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
            // A string may hold a document with secrets.
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

    /// Replaces a field if `rule` says so. Returns whether it did.
    fn hide(&self, rule: Rule, field: &mut Value) -> bool {
        let text = match &mut *field {
            _ if rule.treatment == Treatment::Leave => return false,
            // `null`, `true` and `false` are not secrets.
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

    /// Redacts everything in a text that looks like a secret.
    fn text(&self, text: &str, found: &mut Vec<String>) -> Option<String> {
        self.redactor.redact(text, Format::Text, &mut |name| note(found, name))
    }

    /// Redacts the message of an error: by all rules, unless the settings change the rules.
    pub(in crate::dead_letter) fn message(&self, text: &str) -> Option<String> {
        self.messages.redact(text, Format::Text, &mut |_| ())
    }

    /// Redacts a value by its name and by what it looks like.
    pub(in crate::dead_letter) fn named(&self, name: &str, value: &str) -> String {
        self.redactor.value(name, value).into_owned()
    }
}

/// The maximum number of names that a letter lists for one of its parts.
const MAX_NAMES: usize = 64;

/// The maximum number of bytes of such a name.
const MAX_NAME: usize = 128;

/// Adds `name` to the names of what was redacted.
pub(super) fn note(found: &mut Vec<String>, name: &str) {
    let name = cut(name, MAX_NAME);
    if found.len() < MAX_NAMES && !found.iter().any(|known| known == name) {
        found.push(name.to_owned());
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
}

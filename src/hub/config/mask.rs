//! What may be shown of a value.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::tree::{KeyPath, Node, Value};
use crate::base::redact::{MARKER, RedactionSettings, Redactor};

/// Hides secrets in what is shown: those that a file or a variable holds for the configuration, values of headers and of
/// names of secrets, and passwords in URLs.
pub(super) struct Mask {
    redactor: Option<Redactor>,
    /// What `{ file = … }` and `{ env = … }` stood for.
    secrets: BTreeSet<String>,
}

/// The longest text that a message shows.
const LONGEST: usize = 80;

impl Mask {
    /// The mask for what was read into `tree`.
    pub(super) fn new(tree: &Node) -> Self {
        let mut secrets = BTreeSet::new();
        tree.leaves(&KeyPath::default(), &mut |_, node| {
            if let Value::Secret(secret) = &node.value {
                secrets.insert(secret.clone());
            }
        });
        let redactor = Redactor::with_variables(&RedactionSettings::default(), |_| None).ok();
        Self { redactor, secrets }
    }

    /// What may be shown of the text at `path`.
    pub(super) fn text<'a>(&self, path: &KeyPath, text: &'a str) -> Cow<'a, str> {
        if self.secrets.contains(text) || path.keys().rev().skip(1).any(|key| key == "headers") {
            return Cow::Borrowed(MARKER);
        }
        // What is to be redacted has names like secrets, and is none.
        let keys: Vec<_> = path.keys().collect();
        match keys.iter().position(|key| *key == "redaction").map(|at| &keys[at + 1..]) {
            Some(["key"]) => return Cow::Borrowed(MARKER),
            Some(_) => return Cow::Borrowed(text),
            None => {}
        }
        // Without a redactor nothing may be shown.
        self.redactor.as_ref().map_or(Cow::Borrowed(MARKER), |redactor| {
            let shown = redactor.value(path.last_key(), text);
            match self.secrets.iter().any(|secret| secret.len() >= 4 && shown.contains(secret.as_str())) {
                true => Cow::Borrowed(MARKER),
                false => shown,
            }
        })
    }

    /// What may be shown of a message about the value at `path`.
    pub(super) fn message(&self, path: &KeyPath, node: &Node, message: &str) -> String {
        match node.as_text() {
            Some(text) if node.is_secret() || self.text(path, text) != text => {
                "what is allowed is in the documentation of this setting".to_owned()
            }
            _ => self.text(&KeyPath::default(), message).into_owned(),
        }
    }

    /// A value, as a message shows it.
    pub(super) fn value(&self, path: &KeyPath, node: &Node) -> String {
        match &node.value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Secret(_) => "this secret".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::Table(_) => "a table".to_owned(),
            Value::String(text) | Value::Text(text) => {
                let shown = self.text(path, text);
                match shown.char_indices().nth(LONGEST) {
                    Some((end, _)) => format!("{:?}…", &shown[..end]),
                    None => format!("{shown:?}"),
                }
            }
        }
    }

    /// Whether the text at `path` is a secret in plain text.
    pub(super) fn is_plain_secret(&self, path: &KeyPath, node: &Node) -> bool {
        match &node.value {
            Value::String(text) => self.text(path, text) != text.as_str(),
            _ => false,
        }
    }
}

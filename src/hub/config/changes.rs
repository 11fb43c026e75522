//! What a reload changed.

use std::fmt;

use serde_json::Value as Json;

use super::mask::Mask;
use super::sections::Settings;
use super::tree::{KeyPath, Node, Source, Value};

/// The settings that the parts take over while they run. `*` is any name.
const LIVE: [&[&str]; 4] =
    [&["health"], &["healing"], &["dependency", "*", "breaker"], &["dependency", "*", "retry"]];

/// One setting that a reload changed. Secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The path of the setting.
    pub setting: String,
    /// The value before. A table that is off is `false`.
    pub from: String,
    /// The value now.
    pub to: String,
    /// Where the value now is from.
    pub origin: String,
    /// Whether the running parts take it over. If not, the process has to be restarted.
    pub live: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, from, to, origin, live } = self;
        let effect = if *live { "it is taken over" } else { "it needs a restart" };
        write!(f, "`{setting}` changed from {from} to {to} ({origin}); {effect}")
    }
}

/// What a reload changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    changes: Vec<Change>,
}

impl Changes {
    /// Compares two sets of settings.
    pub(super) fn between(before: (&Node, &Settings), after: (&Node, &Settings)) -> Self {
        let masks = (Mask::new(before.0), Mask::new(after.0));
        let mut found = Vec::new();
        let json = |settings| serde_json::to_value(settings).unwrap_or_default();
        compare(&KeyPath::default(), &json(before.1), &json(after.1), &mut found);
        let mut changes: Vec<_> = found
            .into_iter()
            .map(|(path, from, to)| Change {
                from: shown(&masks.0, before.0, &path, from.as_ref()),
                to: shown(&masks.1, after.0, &path, to.as_ref()),
                origin: origin(after.0, &path).to_string(),
                live: is_live(&path),
                setting: path.to_string(),
            })
            .collect();
        // Settings that are never serialized.
        for (path, source) in changed_secrets(before.0, after.0) {
            let setting = path.to_string();
            if changes.iter().all(|change| !setting.starts_with(&change.setting)) {
                let [from, to] = ["a secret", "another secret"].map(str::to_owned);
                changes.push(Change { setting, from, to, origin: source.to_string(), live: is_live(&path) });
            }
        }
        Self { changes }
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes, by the path of the setting.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }

    /// The changes that need a restart.
    pub fn restarts(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| !change.live)
    }
}

/// Where what is at `path` is from.
pub(super) fn origin<'a>(tree: &'a Node, path: &KeyPath) -> &'a Source {
    tree.get(path).map_or(&Source::Default, |node| &node.source)
}

fn is_live(path: &KeyPath) -> bool {
    let keys: Vec<_> = path.keys().collect();
    LIVE.iter().any(|live| {
        // Turning a part on or off changes what the service is made of.
        keys.len() > live.len()
            && live.iter().zip(&keys).all(|(pattern, key)| *pattern == "*" || pattern == key)
    })
}

type Found = Vec<(KeyPath, Option<Json>, Option<Json>)>;

fn compare(path: &KeyPath, before: &Json, after: &Json, found: &mut Found) {
    match (before, after) {
        (Json::Object(old), Json::Object(new)) => {
            let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for key in keys {
                match (old.get(key), new.get(key)) {
                    (Some(old), Some(new)) => compare(&path.key(key), old, new, found),
                    (old, new) => found.push((path.key(key), old.cloned(), new.cloned())),
                }
            }
        }
        (old, new) if old != new => found.push((path.clone(), Some(old.clone()), Some(new.clone()))),
        _ => {}
    }
}

fn shown(mask: &Mask, tree: &Node, path: &KeyPath, value: Option<&Json>) -> String {
    match value {
        None | Some(Json::Null) => "not set".to_owned(),
        // Such as a number, which the mask does not search.
        Some(_) if tree.get(path).is_some_and(Node::is_secret) => "a secret".to_owned(),
        Some(Json::Object(_)) => "a table".to_owned(),
        Some(Json::Array(_)) => "a list".to_owned(),
        Some(Json::String(text)) => format!("{:?}", mask.text(path, text)),
        Some(value) => value.to_string(),
    }
}

fn changed_secrets(before: &Node, after: &Node) -> Vec<(KeyPath, Source)> {
    let mut changed = Vec::new();
    after.leaves(&KeyPath::default(), &mut |path, node| {
        let keyed = matches!(path.keys().collect::<Vec<_>>()[..], [.., "redaction", "key"]);
        let old = before.get(path).map(|node| &node.value);
        let same = match (old, &node.value) {
            (Some(Value::Secret(old)), Value::Secret(new)) => old == new,
            (old, new) => old == Some(new),
        };
        if (keyed || node.is_secret()) && !same {
            changed.push((path.clone(), node.source.clone()));
        }
    });
    changed
}

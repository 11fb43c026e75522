//! The path to a value.

use std::fmt;

use crate::hub::config::printable::quoted_text;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::hub::config) enum Step {
    Key(String),
    Index(usize),
}

/// The path from the root of the tree to a value: `dependency.payments.retry.grpc_codes[1]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::hub::config) struct KeyPath(pub(in crate::hub::config) Vec<Step>);

impl KeyPath {
    /// The largest number of keys in one another. No setting is so deep; trees are walked by recursion.
    pub(in crate::hub::config) const DEEPEST: usize = 32;

    /// The path of keys that `text` separates by dots. For texts of this crate: no key may have a dot.
    pub(in crate::hub::config) fn of(text: &str) -> Self {
        Self(text.split('.').map(|key| Step::Key(key.to_owned())).collect())
    }

    /// The path of keys.
    pub(in crate::hub::config) fn of_keys<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self(keys.into_iter().map(|key| Step::Key(key.into())).collect())
    }

    pub(in crate::hub::config) fn key(&self, key: impl Into<String>) -> Self {
        self.step(Step::Key(key.into()))
    }

    pub(in crate::hub::config) fn step(&self, step: Step) -> Self {
        let mut longer = self.clone();
        longer.0.push(step);
        longer
    }

    pub(in crate::hub::config) fn join(&self, rest: &Self) -> Self {
        Self(self.0.iter().chain(&rest.0).cloned().collect())
    }

    /// The keys of the path, without indexes.
    pub(in crate::hub::config) fn keys(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
    }

    /// The last key of the path.
    pub(in crate::hub::config) fn last_key(&self) -> &str {
        self.keys().next_back().unwrap_or_default()
    }
}

/// Whether TOML needs no quotes around a key.
fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A key as TOML writes it.
pub(in crate::hub::config) fn quoted(key: &str) -> String {
    if is_bare(key) { key.to_owned() } else { quoted_text(key) }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) => write!(f, "{}{}", if place == 0 { "" } else { "." }, quoted(key))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

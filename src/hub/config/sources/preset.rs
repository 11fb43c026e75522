//! The layer of the preset.

use std::fmt;

use super::toml;
use crate::hub::config::tree::{Node, Source, Value};

/// A set of settings for a kind of place where a program runs. It wins over the defaults; anything else wins over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// JSON logs, and thresholds that warn early.
    Production,
    /// Logs for people, more of them, quicker samples, and thresholds of a machine that does other work too.
    Development,
}

impl Preset {
    pub(in crate::hub::config) const ALL: [Self; 2] = [Self::Production, Self::Development];

    /// The name: `production` or `development`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Development => "development",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Production => include_str!("production.toml"),
            Self::Development => include_str!("development.toml"),
        }
    }

    pub(in crate::hub::config) fn tree(self) -> Node {
        // A unit test parses both.
        let mut tree = toml::parse(self.text(), "").unwrap_or_else(|_| Node::table(Source::Default));
        rename(&mut tree, &Source::Preset(self.name()));
        tree
    }
}

fn rename(node: &mut Node, source: &Source) {
    node.source = source.clone();
    match &mut node.value {
        Value::Table(table) => table.values_mut().for_each(|node| rename(node, source)),
        Value::Array(items) => items.iter_mut().for_each(|node| rename(node, source)),
        _ => {}
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_presets_parse() {
        for preset in Preset::ALL {
            assert!(toml::parse(preset.text(), "").is_ok(), "{preset}");
            assert!(preset.tree().as_table().is_some_and(|table| !table.is_empty()));
        }
    }
}

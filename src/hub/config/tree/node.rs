//! A value of the tree, and where it is from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::path::{KeyPath, Step};
use crate::hub::config::printable::Printable;

/// A value, and where it is from. It has no `Debug`, because it may hold secrets.
#[derive(Clone)]
pub(in crate::hub::config) struct Node {
    pub(in crate::hub::config) value: Value,
    pub(in crate::hub::config) source: Source,
}

/// A value of a tree.
#[derive(Clone, PartialEq)]
pub(in crate::hub::config) enum Value {
    /// `null` of JSON: it turns off what is on by default.
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    String(String),
    /// A value without a type, from a variable or an argument. The setting decides what it is.
    Text(String),
    /// What a `{ file = … }` or `{ env = … }` stood for. It is never shown.
    Secret(String),
    Array(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

impl PartialEq for Node {
    /// Compares the values.
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// Where a value is from. The layers are in their order: a later one wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::hub::config) enum Source {
    Default,
    Preset(&'static str),
    File { name: Arc<str>, line: usize },
    Variable(Arc<str>),
    Argument(Arc<str>),
}

impl Source {
    /// The place of the layer among the layers.
    pub(in crate::hub::config) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::Preset(_) => 1,
            Self::File { .. } => 2,
            Self::Variable(_) => 3,
            Self::Argument(_) => 4,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Preset(name) => write!(f, "preset {name}"),
            Self::File { name, line } => write!(f, "{}:{line}", Printable(name)),
            Self::Variable(name) => write!(f, "variable {}", Printable(name)),
            Self::Argument(name) => write!(f, "argument {}", Printable(name)),
        }
    }
}

impl Node {
    pub(in crate::hub::config) fn new(value: Value, source: Source) -> Self {
        Self { value, source }
    }

    /// An empty table.
    pub(in crate::hub::config) fn table(source: Source) -> Self {
        Self::new(Value::Table(BTreeMap::new()), source)
    }

    /// `value` at the end of `keys`, with a table for each key.
    pub(in crate::hub::config) fn nested<K: Into<String>>(
        keys: impl DoubleEndedIterator<Item = K>,
        value: Value,
        source: &Source,
    ) -> Self {
        keys.rev().fold(Self::new(value, source.clone()), |node, key| {
            Self::new(Value::Table(BTreeMap::from([(key.into(), node)])), source.clone())
        })
    }

    pub(in crate::hub::config) fn as_table(&self) -> Option<&BTreeMap<String, Node>> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(in crate::hub::config) fn as_table_mut(&mut self) -> Option<&mut BTreeMap<String, Node>> {
        match &mut self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The text of a string, of whatever kind.
    pub(in crate::hub::config) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) | Value::Text(text) | Value::Secret(text) => Some(text),
            _ => None,
        }
    }

    pub(in crate::hub::config) fn is_secret(&self) -> bool {
        matches!(self.value, Value::Secret(_))
    }

    /// Whether the value is `true`.
    pub(in crate::hub::config) fn is_true(&self) -> bool {
        match &self.value {
            Value::Bool(yes) => *yes,
            Value::Text(text) => text == "true",
            _ => false,
        }
    }

    pub(in crate::hub::config) fn get(&self, path: &KeyPath) -> Option<&Self> {
        path.0.iter().try_fold(self, |node, step| match (step, &node.value) {
            (Step::Key(key), Value::Table(table)) => table.get(key),
            (Step::Index(index), Value::Array(items)) => items.get(*index),
            _ => None,
        })
    }

    pub(in crate::hub::config) fn get_mut(&mut self, path: &KeyPath) -> Option<&mut Self> {
        path.0.iter().try_fold(self, |node, step| match (step, &mut node.value) {
            (Step::Key(key), Value::Table(table)) => table.get_mut(key),
            (Step::Index(index), Value::Array(items)) => items.get_mut(*index),
            _ => None,
        })
    }

    /// The innermost node on the way to `path`, which tells where the path is from if nothing is there.
    pub(in crate::hub::config) fn nearest(&self, path: &KeyPath) -> &Self {
        let mut node = self;
        for step in &path.0 {
            let next = match (step, &node.value) {
                (Step::Key(key), Value::Table(table)) => table.get(key),
                (Step::Index(index), Value::Array(items)) => items.get(*index),
                _ => None,
            };
            let Some(next) = next else { break };
            node = next;
        }
        node
    }

    /// Removes what is at `path`, an element of a list with its whole list. Returns whether something was there.
    pub(in crate::hub::config) fn remove(&mut self, path: &KeyPath) -> bool {
        let keys = path.0.iter().take_while(|step| matches!(step, Step::Key(_))).cloned();
        let mut path = KeyPath(keys.collect());
        let Some(Step::Key(last)) = path.0.pop() else { return false };
        let table = self.get_mut(&path).and_then(Self::as_table_mut);
        table.is_some_and(|table| table.remove(&last).is_some())
    }

    /// Calls `visit` with each value that is neither a table nor a list.
    pub(in crate::hub::config) fn leaves(&self, path: &KeyPath, visit: &mut impl FnMut(&KeyPath, &Self)) {
        match &self.value {
            Value::Table(table) => table.iter().for_each(|(key, node)| node.leaves(&path.key(key), visit)),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .for_each(|(index, node)| node.leaves(&path.step(Step::Index(index)), visit)),
            _ => visit(path, self),
        }
    }
}

//! Shows all settings as TOML.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::changes;
use super::mask::Mask;
use super::shape::MOVED;
use super::state::State;
use super::toml_text::{in_order, inline};
use super::tree::{KeyPath, Node, Source, Step, quoted};
use crate::base::redact::MARKER;

/// All settings as TOML, with secrets masked.
pub(super) fn show(state: &State, origin: bool) -> String {
    let settings = serde_json::to_value(&*state.settings).unwrap_or_default();
    let mut page = Page { mask: Mask::new(&state.tree), tree: &state.tree, origin, text: String::new() };
    page.table(&KeyPath::default(), &settings);
    page.text.trim_start().to_owned()
}

struct Page<'a> {
    mask: Mask,
    tree: &'a Node,
    origin: bool,
    text: String,
}

impl Page<'_> {
    fn table(&mut self, path: &KeyPath, value: &Json) {
        let Json::Object(table) = value else { return };
        let has_values = table.values().any(|value| !value.is_object());
        if !path.0.is_empty() && has_values {
            let _ = write!(self.text, "\n[{path}]{}\n", self.comment(path));
        }
        for (key, value) in in_order(table) {
            let path = path.key(key);
            if MOVED.iter().any(|(moved, _)| KeyPath::of(moved) == path) {
                continue;
            }
            match value {
                Json::Object(_) => self.table(&path, value),
                value => self.line(&path, key, value),
            }
        }
    }

    fn line(&mut self, path: &KeyPath, key: &str, value: &Json) {
        let key = quoted(key);
        let comment = self.comment(path);
        let _ = match (inline(&self.masked(path, value)), self.tree.get(path)) {
            (Some(text), _) => writeln!(self.text, "{key} = {text}{comment}"),
            // On by default, and turned off.
            (None, Some(_)) => writeln!(self.text, "{key} = false{comment}"),
            (None, None) => writeln!(self.text, "# {key} is not set"),
        };
    }

    fn masked(&self, path: &KeyPath, value: &Json) -> Json {
        match value {
            // Such as a number, which the mask does not search.
            _ if self.tree.get(path).is_some_and(Node::is_secret) => Json::String(MARKER.to_owned()),
            Json::String(text) => Json::String(self.mask.text(path, text).into_owned()),
            Json::Array(items) => {
                let masked = |(index, item)| self.masked(&path.step(Step::Index(index)), item);
                Json::Array(items.iter().enumerate().map(masked).collect())
            }
            Json::Object(table) => {
                let masked =
                    |(key, value): (&String, &Json)| (key.clone(), self.masked(&path.key(key), value));
                Json::Object(table.iter().map(masked).collect())
            }
            value => value.clone(),
        }
    }

    fn comment(&self, path: &KeyPath) -> String {
        // A table has a source of its own if it says nothing else, such as `letters = true`.
        let value = self.tree.get(path).filter(|node| node.as_table().is_none_or(|table| table.is_empty()));
        match value.map(|_| changes::origin(self.tree, path)) {
            Some(source) if self.origin && *source != Source::Default => format!(" # {source}"),
            _ => String::new(),
        }
    }
}

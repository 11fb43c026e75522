//! A file with every setting, its default and what it is for.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

use super::explanations;
use super::sections::{
    DatabaseSection, DependencySection, EndpointSection, ServerSection, Settings, WorkerSection,
};
use super::shape::{MOVED, NAMED};
use super::toml_text::{in_order, inline};
use super::tree::{KeyPath, Node, Refusal, Source, Value as Leaf, quoted, read};
use crate::dead_letter::DeadLetterSettings;

/// The width of a line of explanation.
const WIDTH: usize = 100;

const HEAD: &str = "\
# Settings of a program that uses campanile. Each line that begins with `#` and a key is a default: remove the `#` to
# change it. Variables win over this file: CAMPANILE__HEALTH__LETTERS=50 is `letters = 50` in [health]. A secret is
# { file = \"/run/secrets/token\" } or { env = \"TOKEN\" }. `false` turns off what is on by default.
";

/// Returns a file with a comment for every setting: what it is for, and its default. With `full` it has the settings of
/// all parts, without only the first level of each section.
///
/// # Example
/// ```
/// let template = campanile::hub::config::template(false);
/// assert!(template.contains("\n#error_share = 0.1\n"));
/// ```
#[must_use]
pub fn template(full: bool) -> String {
    let mut page = Page { full, text: HEAD.to_owned() };
    if let Json::Object(sections) = example(full) {
        for (name, section) in &sections {
            page.section(&KeyPath::of(name), section, 0);
        }
    }
    page.text
}

/// The defaults, with one example of each section that has a name.
fn example(full: bool) -> Json {
    let mut settings = Settings::default();
    let mut dependency = DependencySection::default();
    let mut worker = WorkerSection::default();
    if full {
        dependency.letters = Some(DeadLetterSettings::default());
        dependency.check = Some(EndpointSection::default());
        worker.retry = Some(Default::default());
        worker.letters = Some(DeadLetterSettings::default());
    }
    settings.server.insert("api".to_owned(), ServerSection::default());
    settings.dependency.insert("payments".to_owned(), dependency);
    settings.worker.insert("import".to_owned(), worker);
    settings.database.insert("orders".to_owned(), DatabaseSection::default());
    settings.endpoint.insert("search".to_owned(), EndpointSection::default());
    serde_json::to_value(settings).unwrap_or_default()
}

struct Page {
    full: bool,
    text: String,
}

impl Page {
    fn section(&mut self, path: &KeyPath, value: &Json, depth: usize) {
        let Json::Object(table) = value else { return };
        let named = NAMED.contains(&path.keys().next().unwrap_or_default());
        if named && depth == 0 {
            for (name, value) in table {
                self.section(&path.key(name), value, 1);
            }
            return;
        }
        self.text.push('\n');
        let outer = if depth == 1 && named {
            KeyPath::of(path.keys().next().unwrap_or_default())
        } else {
            path.clone()
        };
        if let Some(explanation) = explanations::of(&outer) {
            self.explain(explanation);
        }
        let mark = if named || depth > 0 { "#" } else { "" };
        let _ = writeln!(self.text, "{mark}[{path}]");
        for (key, value) in in_order(table) {
            let path = path.key(key);
            if is_moved(&path) || (value.is_object() && !is_free(value, &path)) {
                continue;
            }
            self.setting(&path, key, value);
        }
        self.unserialized(path, table);
        for (key, value) in table {
            let path = path.key(key);
            if !value.is_object() || is_moved(&path) || is_free(value, &path) {
                continue;
            }
            if self.full {
                self.section(&path, value, depth + 1);
            } else {
                self.text.push('\n');
                self.explain(explanations::of(&path).unwrap_or_default());
                let _ = writeln!(self.text, "# [{path}] is a table: the full template has its settings.");
            }
        }
    }

    fn setting(&mut self, path: &KeyPath, key: &str, value: &Json) {
        self.text.push('\n');
        if let Some(explanation) = explanations::of(path) {
            self.explain(explanation);
        }
        match inline(value) {
            Some(text) => {
                let _ = writeln!(self.text, "#{} = {text}", quoted(key));
            }
            None => self.unset(path, key),
        }
    }

    /// Settings that are not serialized, such as keys.
    fn unserialized(&mut self, path: &KeyPath, table: &Map<String, Json>) {
        for key in explanations::keys(path) {
            let path = path.key(key);
            if !table.contains_key(key) && !is_moved(&path) && is_known(&path) {
                self.text.push('\n');
                self.explain(explanations::of(&path).unwrap_or_default());
                self.unset(&path, key);
            }
        }
    }

    /// A setting without a default, with the keys of its table.
    fn unset(&mut self, path: &KeyPath, key: &str) {
        let _ = writeln!(self.text, "# {key} is not set.");
        if self.full {
            for inner in explanations::keys(path) {
                let explanation = explanations::of(&path.key(inner)).unwrap_or_default();
                self.explain(&format!("{key}.{inner}: {explanation}"));
            }
        }
    }

    fn explain(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut line = String::from("#");
        for word in text.split_whitespace() {
            if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > WIDTH {
                let _ = writeln!(self.text, "{line}");
                line = String::from("#");
            }
            line.push(' ');
            line.push_str(word);
        }
        let _ = writeln!(self.text, "{line}");
    }
}

fn is_moved(path: &KeyPath) -> bool {
    MOVED.iter().any(|(from, _)| KeyPath::of(from) == *path)
}

/// Whether the settings have the key: that of a feature that is off has an explanation all the same.
fn is_known(path: &KeyPath) -> bool {
    let tree = Node::nested(path.keys(), Leaf::Null, &Source::Default);
    !matches!(read::<Settings>(&tree), Err((_, Refusal::UnknownKey { .. })))
}

/// Whether a table is one value: one whose keys have no explanations.
fn is_free(value: &Json, path: &KeyPath) -> bool {
    value.is_object() && explanations::keys(path).next().is_none()
}

//! One line for each setting, taken from the documentation of its type.
//!
//! `explanations.txt` is written by a test from the source of the types: `tests/config/explanations.rs`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::shape::NAMED;
use super::tree::{KeyPath, Step};

/// The explanations by path, with `*` for names.
fn all() -> &'static BTreeMap<&'static str, &'static str> {
    static ALL: OnceLock<BTreeMap<&str, &str>> = OnceLock::new();
    ALL.get_or_init(|| {
        include_str!("explanations.txt").lines().filter_map(|line| line.split_once('\t')).collect()
    })
}

/// The path with `*` for the name of a thing.
fn pattern(path: &KeyPath) -> String {
    let mut path = path.clone();
    if let [Step::Key(section), Step::Key(name), ..] = &mut path.0[..]
        && NAMED.contains(&section.as_str())
    {
        "*".clone_into(name);
    }
    path.keys().collect::<Vec<_>>().join(".")
}

/// What a setting is for.
pub(super) fn of(path: &KeyPath) -> Option<&'static str> {
    all().get(pattern(path).as_str()).copied()
}

/// The keys directly in a table that have an explanation.
pub(super) fn keys(path: &KeyPath) -> impl Iterator<Item = &'static str> {
    let start = format!("{}.", pattern(path));
    all().keys().filter_map(move |key| key.strip_prefix(start.as_str()).filter(|rest| !rest.contains('.')))
}

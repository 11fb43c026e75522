//! The layer of the environment: `CAMPANILE__SECTION__KEY`, and other spellings.

use std::sync::Arc;

use super::aliases::{ALIASES, Alias};
use super::variables::{self, Variables};
use crate::hub::config::fault::ConfigFault;
use crate::hub::config::tree::{KeyPath, Node, Source, Value, merge};

const PREFIX: &str = "CAMPANILE__";

/// What a variable cannot address, and what can.
const NAMES: &str = "a variable cannot address names with dots, spaces or lower-case letters in it: its parts are in capital \
                     letters and separated by `__`; set it in the file or by an argument";

/// The tree of the variables. Warnings are about variables that have no effect.
pub(in crate::hub::config) fn environment(
    variables: &Variables,
    sections: &[String],
    faults: &mut Vec<ConfigFault>,
    warnings: &mut Vec<String>,
) -> Node {
    let mut tree = Node::table(Source::Default);
    for (name, alias) in ALIASES {
        let Some(value) = variables.get(name) else { continue };
        let source = Source::Variable(name.into());
        match (value, alias) {
            (_, Alias::Later(part)) => {
                warnings.push(format!("variable {name} has no effect: this version has no `{part}` yet"));
            }
            (Err(why), _) => faults.push(ConfigFault::of_source(&source, why)),
            (Ok(text), Alias::Of(path)) => {
                merge(&mut tree, Node::nested(path.split('.'), Value::Text(text.to_owned()), &source));
            }
            (Ok(text), Alias::Port(path)) if text.parse::<u16>().is_ok() => {
                let address = Value::Text(format!("127.0.0.1:{text}"));
                merge(&mut tree, Node::nested(path.split('.'), address, &source));
            }
            (Ok(text), Alias::Port(path)) => {
                let message = format!("cannot be \"{text}\"; allowed: a port from 0 to 65535");
                faults.push(ConfigFault::new(&KeyPath::of(path), &source, message));
            }
        }
    }
    let mut own = Node::table(Source::Default);
    for (name, value) in variables.iter() {
        let shown = name.to_string_lossy();
        let Some(path) = shown.strip_prefix(PREFIX) else {
            warnings.extend(missing_underscore(&shown, sections));
            continue;
        };
        let source = Source::Variable(shown.as_ref().into());
        match variable(path, value, &source, &mut own) {
            Ok(()) => {}
            Err(why) => faults.push(ConfigFault::of_source(&source, why)),
        }
    }
    merge(&mut tree, own);
    tree
}

fn variable(path: &str, value: &std::ffi::OsStr, source: &Source, tree: &mut Node) -> Result<(), String> {
    let text = variables::text(value)?;
    let keys: Vec<_> = path.split("__").collect();
    if keys.iter().any(|key| key.is_empty()) {
        return Err(
            "has an empty part; write CAMPANILE__SECTION__KEY, with two underscores between the parts".into(),
        );
    }
    if keys.len() > KeyPath::DEEPEST {
        return Err(format!("has more than {} parts", KeyPath::DEEPEST));
    }
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    if let Some(key) = keys.iter().find(|key| !key.bytes().all(fits)) {
        return Err(format!("has the part `{key}`; {NAMES}"));
    }
    let keys: Vec<_> = keys.iter().map(|key| key.to_ascii_lowercase()).collect();
    let value = if text == "\"\"" { Value::String(String::new()) } else { Value::Text(text.to_owned()) };
    let path = KeyPath::of_keys(keys.iter().cloned());
    let there = tree.get(&path).or_else(|| {
        let outer = tree.nearest(&path);
        outer.as_table().is_none().then_some(outer)
    });
    if let Some(other) = there {
        return Err(format!("is at odds with {}: one sets a value, the other a key in it", other.source));
    }
    merge(tree, Node::nested(keys.iter(), value, source));
    Ok(())
}

/// A warning about a variable that looks as if it lacked an underscore.
fn missing_underscore(name: &str, sections: &[String]) -> Option<String> {
    let rest = name.strip_prefix("CAMPANILE_")?.to_ascii_lowercase();
    let section = sections
        .iter()
        .find(|section| rest.strip_prefix(*section).is_some_and(|key| key.starts_with('_')))?;
    let key = rest[section.len()..].trim_start_matches('_').to_ascii_uppercase();
    let section = section.to_ascii_uppercase();
    Some(format!(
        "variable {name} has no effect: write {PREFIX}{section}__{key}, with two underscores between the parts"
    ))
}

/// Refuses variables that would make a new thing beside one that they probably mean, whose name they cannot write.
pub(in crate::hub::config) fn unaddressable(
    below: &Node,
    environment: &mut Node,
    faults: &mut Vec<ConfigFault>,
) {
    let mut found = Vec::new();
    search(below, environment, &KeyPath::default(), &mut found);
    for (path, name, source) in found {
        let meant = environment.get(&path).map(|node| node.source.clone());
        environment.remove(&path);
        let Some(variable) = meant else { continue };
        faults.push(ConfigFault::new(&path, &variable, format!("is not `{name}` of {source}; {NAMES}")));
    }
}

fn search(below: &Node, above: &Node, path: &KeyPath, found: &mut Vec<(KeyPath, Arc<str>, Source)>) {
    let (Some(below), Some(above)) = (below.as_table(), above.as_table()) else { return };
    let plain = |name: &str| name.to_ascii_lowercase().replace(['-', '.', ' '], "_");
    for (key, node) in above {
        if let Some(there) = below.get(key) {
            search(there, node, &path.key(key), found);
        } else if let Some((name, there)) = below.iter().find(|(name, _)| plain(name) == plain(key)) {
            found.push((path.key(key), name.as_str().into(), there.source.clone()));
        }
    }
}

//! Secrets: `{ file = "…" }` and `{ env = "…" }` in place of a text.

use std::fs;
use std::io::Read;

use super::variables::Variables;
use crate::hub::config::fault::ConfigFault;
use crate::hub::config::tree::{KeyPath, Node, Step, Value};

/// The maximum size of a secret in bytes.
const MOST: u64 = 64 * 1024;

/// Replaces each table that has only the keys `file` and `env` by what it stands for.
pub(in crate::hub::config) fn resolve(
    node: &mut Node,
    path: &KeyPath,
    variables: &Variables,
    faults: &mut Vec<ConfigFault>,
) {
    match reference(node) {
        Some(Ok((key, name))) => match fetch(&key, &name, variables) {
            Ok(secret) => node.value = Value::Secret(secret),
            Err(why) => {
                faults.push(ConfigFault::new(path, &node.source, why));
                // Something that is a text, so that no second fault follows.
                node.value = Value::Secret("unknown".to_owned());
            }
        },
        Some(Err(why)) => {
            faults.push(ConfigFault::new(path, &node.source, why));
            node.value = Value::Secret("unknown".to_owned());
        }
        None => match &mut node.value {
            Value::Table(table) => {
                table.iter_mut().for_each(|(key, node)| resolve(node, &path.key(key), variables, faults));
            }
            Value::Array(items) => items
                .iter_mut()
                .enumerate()
                .for_each(|(index, node)| resolve(node, &path.step(Step::Index(index)), variables, faults)),
            _ => {}
        },
    }
}

/// The key and the value of a table that stands for a secret. If two layers chose differently, the higher one wins.
fn reference(node: &Node) -> Option<Result<(String, String), String>> {
    let table = node.as_table()?;
    if table.is_empty() || !table.keys().all(|key| key == "file" || key == "env") {
        return None;
    }
    let highest = table.values().map(|node| node.source.rank()).max();
    let chosen: Vec<_> = table.iter().filter(|(_, node)| Some(node.source.rank()) == highest).collect();
    let [(key, name)] = chosen[..] else {
        return Some(Err("has both `file` and `env`; one of them is allowed".to_owned()));
    };
    match name.as_text() {
        Some(text) if !text.trim().is_empty() => Some(Ok((key.clone(), text.to_owned()))),
        _ => Some(Err(format!("has a `{key}` that is not a text"))),
    }
}

/// What a reference stands for. The error names the reference and never what was read.
fn fetch(key: &str, name: &str, variables: &Variables) -> Result<String, String> {
    if key == "env" {
        return match variables.get(name) {
            Some(Ok(secret)) => Ok(secret.to_owned()),
            Some(Err(why)) => Err(format!("needs the variable {name}, which {why}")),
            None => Err(format!("needs the variable {name}, which is not set")),
        };
    }
    let cannot = |why: &dyn std::fmt::Display| format!("needs the file {name}, which cannot be read: {why}");
    let metadata = fs::metadata(name).map_err(|error| cannot(&error))?;
    if !metadata.is_file() {
        return Err(cannot(&"it is not a regular file"));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(name).map_err(|error| cannot(&error))?;
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > MOST {
        return Err(cannot(&"it is larger than 64 KiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| cannot(&"it is not valid UTF-8"))?;
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() {
        return Err(cannot(&"it is empty"));
    }
    Ok(secret.to_owned())
}

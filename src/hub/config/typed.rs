//! Reads the tree as settings, and finds all that is wrong with it.

use std::collections::BTreeSet;

use super::fault::{ConfigErrors, ConfigFault};
use super::mask::Mask;
use super::nearest;
use super::ranges;
use super::sections::Settings;
use super::tree::{KeyPath, Node, Refusal, Source, Step, read};
use crate::base::error::ConfigError;

/// Reads the tree as settings. What is refused is taken out of the tree and the rest is read again, so that one fault does
/// not hide the next.
pub(super) fn settings(mut tree: Node, faults: &mut Vec<ConfigFault>) -> Settings {
    let mask = Mask::new(&tree);
    let mut refused = BTreeSet::new();
    for _ in 0..ConfigErrors::MOST {
        match read::<Settings>(&tree) {
            Ok(settings) => {
                if !take_out_of_range(&settings, &mut tree, &mask, &mut refused, faults) {
                    return settings;
                }
            }
            Err((path, refusal)) => {
                let path = match &refusal {
                    // A table that is read twice, such as one with a `kind`, leaves the key out of the path.
                    Refusal::UnknownKey { name, .. } if path.last_key() != name => path.key(name),
                    _ => path,
                };
                // A key that is missing only because it was refused is no second fault.
                let known = match &refusal {
                    Refusal::MissingKey(key) => refused.contains(&path.key(*key)),
                    _ => false,
                };
                if !known {
                    faults.push(fault(&tree, &path, &refusal, &mask));
                }
                if !take_out(&mut tree, &path) {
                    break;
                }
                refused.insert(path);
            }
        }
    }
    Settings::default()
}

/// Removes what is at `path`, or else the innermost table on the way to it.
fn take_out(tree: &mut Node, path: &KeyPath) -> bool {
    let mut path = path.clone();
    while !path.0.is_empty() {
        if tree.remove(&path) {
            return true;
        }
        path.0.pop();
    }
    false
}

/// Whether the value of an error is the default of a setting: a value that is left out says so itself.
fn is_default(error: &ConfigError) -> bool {
    error.value() != ranges::LEFT_OUT
}

/// Takes out what is out of its range. Returns whether there was anything.
fn take_out_of_range(
    settings: &Settings,
    tree: &mut Node,
    mask: &Mask,
    refused: &mut BTreeSet<KeyPath>,
    faults: &mut Vec<ConfigFault>,
) -> bool {
    let mut taken = false;
    for (section, error) in ranges::check(settings) {
        let path = section.join(&KeyPath::of(error.setting()));
        let Some(node) = tree.get(&path) else {
            // A default that does not go with another setting, unless that one was refused already.
            let touched = refused.iter().any(|path| path.0.starts_with(&section.0));
            if !touched {
                let source = &tree.nearest(&path).source;
                let default = if is_default(&error) { ", which is the default of this setting" } else { "" };
                let message = error.refusal() + default;
                faults.push(ConfigFault::new(&path, source, message));
                refused.insert(path);
            }
            continue;
        };
        let message = match node.as_text() {
            Some(text) if node.is_secret() || mask.text(&path, text) != text => {
                format!("cannot be {}; {}", mask.value(&path, node), error.rule())
            }
            _ => error.refusal(),
        };
        faults.push(ConfigFault::new(&path, &node.source, message));
        taken |= take_out(tree, &path);
        refused.insert(path);
    }
    taken
}

fn fault(tree: &Node, path: &KeyPath, refusal: &Refusal, mask: &Mask) -> ConfigFault {
    let node = tree.nearest(path);
    let value = || mask.value(path, node);
    let message = match refusal {
        Refusal::UnknownKey { name, known } => {
            let outer = KeyPath(path.0.iter().take(path.0.len().saturating_sub(1)).cloned().collect());
            let known: Vec<_> = known.iter().copied().filter(|key| !is_moved(&outer, key)).collect();
            format!("is unknown; {}", nearest::hint(name, &known))
        }
        Refusal::UnknownVariant { known } => {
            let allowed = known.join(", ");
            match node.as_text().and_then(|text| nearest::nearest(text, known)) {
                Some(near) => format!("cannot be {}; did you mean `{near}`? allowed: {allowed}", value()),
                None => format!("cannot be {}; allowed: {allowed}", value()),
            }
        }
        Refusal::Expected(allowed) => format!("cannot be {}; allowed: {allowed}", value()),
        Refusal::MissingKey(key) => format!("lacks the key `{key}`"),
        Refusal::Message(message) => {
            let value = value();
            let message = mask.message(path, node, message);
            let why = message.strip_prefix(&format!("invalid duration {value}: ")).unwrap_or(&message);
            format!("cannot be {value}: {why}")
        }
    };
    let hint = match (&node.source, refusal) {
        (Source::Variable(_), Refusal::Expected(allowed)) if allowed.contains("list") => {
            "; a variable cannot set a list, so set it in the file or by an argument"
        }
        _ => "",
    };
    ConfigFault::new(path, &node.source, message + hint)
}

/// Whether a key is one that has another place here.
fn is_moved(outer: &KeyPath, key: &str) -> bool {
    let path = outer.step(Step::Key(key.to_owned()));
    super::shape::MOVED.iter().any(|(from, _)| KeyPath::of(from) == path)
}

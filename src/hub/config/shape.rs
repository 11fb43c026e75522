//! What is changed in the merged tree before it is read as settings.

use super::fault::ConfigFault;
use super::tree::{KeyPath, Node, Source, Value, merge};

/// The sections whose keys are names of things.
pub(super) const NAMED: [&str; 5] = ["server", "dependency", "worker", "database", "endpoint"];

/// Settings that have another place here than in the types that hold them.
pub(super) const MOVED: [(&str, &str); 6] = [
    ("telemetry.console", "logging.console"),
    ("telemetry.env_filter", "logging.filter"),
    ("telemetry.logs", "logging.records"),
    ("telemetry.sampler", "sampler"),
    ("telemetry.system", "sampler.system.every"),
    ("telemetry.gpu", "sampler.gpu.every"),
];

/// The longest name of a thing, in bytes.
const LONGEST_NAME: usize = 128;

/// What a name of a thing may be.
pub(in crate::hub) const NAMES: &str =
    "letters, digits, `-`, `_`, `.`, `:` and spaces, a letter or digit first, at most 128 bytes";

/// Whether a thing may have this name. Files are named by it.
pub(in crate::hub) fn is_name(name: &str) -> bool {
    let fits = |character: char| character.is_alphanumeric() || "-_.: ".contains(character);
    name.len() <= LONGEST_NAME
        && name.chars().all(fits)
        && name.chars().next().is_some_and(char::is_alphanumeric)
}

/// Refuses keys that have another place, and names that cannot be names of files.
pub(super) fn refuse(tree: &mut Node, faults: &mut Vec<ConfigFault>) {
    for (from, to) in MOVED {
        let path = KeyPath::of(from);
        if let Some(node) = tree.get(&path) {
            faults.push(ConfigFault::new(
                &path,
                &node.source,
                format!("has another place; set `{to}` instead"),
            ));
            tree.remove(&path);
        }
    }
    for section in NAMED {
        let path = KeyPath::of(section);
        let Some(table) = tree.get_mut(&path).and_then(Node::as_table_mut) else { continue };
        table.retain(|name, node| {
            let usable = is_name(name);
            if !usable {
                let message = format!("has a name that is not allowed; allowed: {NAMES}");
                faults.push(ConfigFault::new(&path.key(name), &node.source, message));
            }
            usable
        });
    }
}

/// Lets queues have what `[letters]` says about all of them.
pub(super) fn inherit(tree: &mut Node) {
    let queue = tree.get(&KeyPath::of("letters.queue")).filter(|queue| queue.as_table().is_some()).cloned();
    let directory = tree.get(&KeyPath::of("letters.directory")).cloned();
    let everywhere = tree.get(&KeyPath::of("letters.everywhere")).filter(|node| node.is_true()).cloned();
    for section in ["dependency", "worker"] {
        let Some(things) = tree.get_mut(&KeyPath::of(section)).and_then(Node::as_table_mut) else { continue };
        for (name, thing) in things {
            let Some(thing) = thing.as_table_mut() else { continue };
            let own = match (thing.remove("letters"), &everywhere) {
                (Some(node), _) if node.is_true() => Node::table(node.source),
                (Some(node), _) if node.as_table().is_none() => {
                    thing.insert("letters".to_owned(), node);
                    continue;
                }
                (Some(node), _) => node,
                (None, Some(everywhere)) => Node::table(everywhere.source.clone()),
                (None, None) => continue,
            };
            let mut letters = queue.clone().unwrap_or_else(|| Node::table(Source::Default));
            merge(&mut letters, own);
            add_store(&mut letters, name, directory.as_ref());
            thing.insert("letters".to_owned(), letters);
        }
    }
}

/// Stores the letters of a queue without a store in the directory of queues.
fn add_store(letters: &mut Node, name: &str, directory: Option<&Node>) {
    let Some(directory) = directory else { return };
    let Some(table) = letters.as_table_mut().filter(|table| !table.contains_key("store")) else { return };
    let Some(text) = directory.as_text() else { return };
    let path = std::path::Path::new(text).join(format!("{name}.db")).display().to_string();
    let mut store = Node::nested(["kind"].into_iter(), Value::String("sqlite".to_owned()), &directory.source);
    merge(&mut store, Node::nested(["path"].into_iter(), Value::String(path), &directory.source));
    table.insert("store".to_owned(), store);
}

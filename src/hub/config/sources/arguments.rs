//! The layer of the arguments: `section.key=value`.

use std::net::SocketAddr;

use super::toml;
use crate::hub::config::fault::ConfigFault;
use crate::hub::config::tree::{KeyPath, Node, Source, Value, merge};

/// The tree of the arguments; a later one wins.
pub(in crate::hub::config) fn arguments(arguments: &[String], faults: &mut Vec<ConfigFault>) -> Node {
    let mut tree = Node::table(Source::Default);
    for argument in arguments {
        match parsed(argument) {
            Ok(node) => merge(&mut tree, node),
            Err((source, why)) => faults.push(ConfigFault::of_source(&source, why)),
        }
    }
    tree
}

fn parsed(argument: &str) -> Result<Node, (Source, String)> {
    let Some((path, value)) = split(argument) else {
        // What stands behind `=` may be a secret, also if a quote before it has no end.
        let shown = argument.split('=').next().unwrap_or_default();
        let why = if shown == argument { "has no `=`" } else { "has a quote without an end" };
        return Err((Source::Argument(shown.into()), format!("{why}; write section.key=value")));
    };
    let (path, value) = (path.trim(), value.trim());
    let source = Source::Argument(path.into());
    let fail = |why: String| (source.clone(), why);
    let keys = keys(path).ok_or_else(|| fail("is no path of keys; write section.key=value".to_owned()))?;
    let value = match value.chars().next() {
        None => {
            return Err(fail(
                "is empty; leave it out, or write \"\" with its quotes for an empty text".to_owned(),
            ));
        }
        // An address of IPv6 begins like a list.
        Some('[') if value.parse::<SocketAddr>().is_ok() => Value::Text(value.to_owned()),
        // A list, a table or a quoted text, as TOML writes it.
        Some('[' | '{' | '"' | '\'') => {
            toml::value(value, &source).map_err(|why| fail(format!("cannot be parsed: {why}")))?
        }
        Some(_) => Value::Text(value.to_owned()),
    };
    Ok(Node::nested(keys.keys(), value, &source))
}

/// Splits at the first `=` outside of quotes.
fn split(argument: &str) -> Option<(&str, &str)> {
    let (mut quote, mut escaped) = (None, false);
    for (place, character) in argument.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (None, '=') => return Some((&argument[..place], &argument[place + 1..])),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    None
}

/// The keys of a path as TOML writes it, so that a name may be quoted.
fn keys(path: &str) -> Option<KeyPath> {
    if path.chars().any(char::is_control) || path.matches('.').count() > KeyPath::DEEPEST {
        return None;
    }
    let mut node = toml::parse(&format!("{path} = 0"), "").ok()?;
    let mut keys = Vec::new();
    loop {
        let Value::Table(table) = node.value else { return Some(KeyPath::of_keys(keys)) };
        let mut entries = table.into_iter();
        let (Some((key, inner)), None) = (entries.next(), entries.next()) else { return None };
        keys.push(key);
        node = inner;
    }
}

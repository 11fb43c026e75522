//! Lays one layer over another.

use super::node::{Node, Value};

/// Lays `upper` over `lower`: tables are merged key by key, anything else is replaced as a whole.
pub(in crate::hub::config) fn merge(lower: &mut Node, upper: Node) {
    match (&mut lower.value, upper.value) {
        (Value::Table(below), Value::Table(above)) => {
            for (key, node) in above {
                match below.get_mut(&key) {
                    Some(there) => merge(there, node),
                    None => {
                        below.insert(key, node);
                    }
                }
            }
            if lower.source.rank() < upper.source.rank() {
                lower.source = upper.source;
            }
        }
        (_, value) => *lower = Node::new(value, upper.source),
    }
}

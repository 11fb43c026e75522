//! Writes values of JSON as TOML.

use serde_json::Value as Json;

use super::printable::quoted_text;
use super::tree::quoted;

/// A value on one line; `None` for `null`, which TOML does not have.
pub(super) fn inline(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::Bool(value) => Some(value.to_string()),
        Json::Number(number) => Some(number.to_string()),
        Json::String(text) => Some(quoted_text(text)),
        Json::Array(items) => {
            let items: Vec<_> = items.iter().filter_map(inline).collect();
            Some(format!("[{}]", items.join(", ")))
        }
        Json::Object(table) if table.is_empty() => Some("{}".to_owned()),
        Json::Object(table) => {
            let entries: Vec<_> = table
                .iter()
                .filter_map(|(key, value)| Some(format!("{} = {}", quoted(key), inline(value)?)))
                .collect();
            Some(format!("{{ {} }}", entries.join(", ")))
        }
    }
}

/// The keys of a table in the order of a file: values before tables.
pub(super) fn in_order(table: &serde_json::Map<String, Json>) -> impl Iterator<Item = (&String, &Json)> {
    let values = table.iter().filter(|(_, value)| !value.is_object());
    values.chain(table.iter().filter(|(_, value)| value.is_object()))
}

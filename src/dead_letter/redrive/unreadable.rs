//! Which field of a request could not be read.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::base::cut::shorten;

/// The maximum number of bytes of the name of a field.
const MAX_NAME: usize = 256;

/// The field of `value` that `T` could not read because of `error`. `None` if it is not in a field.
///
/// The error names a missing field. For any other, the value is read once more from text with one field on each line,
/// because the error then has the line: the result is a path such as `lines[2].amount`. It holds names only, because values
/// may be personal data.
pub(super) fn field_of<T: DeserializeOwned>(value: &Value, error: &serde_json::Error) -> Option<String> {
    let mut field = match missing_field(error) {
        Some(field) => field,
        None => {
            let text = serde_json::to_string_pretty(value).ok()?;
            let error = serde_json::from_str::<T>(&text).err()?;
            path_of_line(&text, error.line())
        }
    };
    shorten(&mut field, MAX_NAME);
    (!field.is_empty()).then_some(field)
}

fn missing_field(error: &serde_json::Error) -> Option<String> {
    let message = error.to_string();
    let (field, _) = message.strip_prefix("missing field `")?.split_once('`')?;
    Some(field.to_owned())
}

/// A place in an object or an array.
enum Step {
    Key(String),
    Index(usize),
}

/// The path of the value that begins or ends on a line of pretty-printed JSON, counted from 1.
fn path_of_line(text: &str, line: usize) -> String {
    let mut steps: Vec<Step> = Vec::new();
    // Of each open object or array, whether it is an array.
    let mut arrays: Vec<bool> = Vec::new();
    for line in text.lines().take(line) {
        let content = line.trim_start();
        let depth = (line.len() - content.len()) / 2;
        if content.starts_with(['}', ']']) {
            steps.truncate(depth);
            arrays.truncate(depth);
            continue;
        }
        if depth > 0 {
            let next = match steps.get(depth - 1) {
                Some(Step::Index(index)) => index + 1,
                _ => 0,
            };
            steps.truncate(depth - 1);
            let in_array = arrays.get(depth - 1).copied().unwrap_or_default();
            steps.push(if in_array { Step::Index(next) } else { Step::Key(key(content)) });
        }
        if content.ends_with(['{', '[']) {
            arrays.push(content.ends_with('['));
        }
    }
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Key(key) => join(&mut path, &key),
            Step::Index(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

/// The key at the beginning of a line.
fn key(line: &str) -> String {
    serde_json::Deserializer::from_str(line)
        .into_iter::<String>()
        .next()
        .and_then(Result::ok)
        .unwrap_or_default()
}

fn join(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Deserialize)]
    struct Order {
        #[allow(dead_code)]
        id: u32,
        #[allow(dead_code)]
        lines: Vec<Line>,
    }

    #[derive(Deserialize)]
    struct Line {
        #[allow(dead_code)]
        sizes: Vec<u8>,
        #[allow(dead_code)]
        amount: u32,
    }

    #[test]
    fn the_field_that_cannot_be_read_is_named_without_its_value() {
        let line = json!({"amount": 1, "sizes": [1, 2]});
        for (value, field) in [
            (json!({"id": "seven", "lines": []}), Some("id")),
            (json!({"lines": []}), Some("id")),
            (json!({"id": 7, "lines": [line, {"amount": "two", "sizes": []}]}), Some("lines[1].amount")),
            (json!({"id": 7, "lines": [line, line, {"sizes": []}]}), Some("amount")),
            (json!({"id": 7, "lines": [{"amount": 1, "sizes": [1, 2, 300]}]}), Some("lines[0].sizes[2]")),
            (json!({"id": 7, "lines": {"a": {}}}), Some("lines")),
            (json!({"id": 7, "lines": [{"amount": {"a{": [[]]}, "sizes": []}]}), Some("lines[0].amount")),
            (json!("order 7"), None),
            (json!({"id": 7, "lines": [line]}), None),
        ] {
            let found = match Order::deserialize(&value) {
                Ok(_) => None,
                Err(error) => field_of::<Order>(&value, &error),
            };
            assert_eq!(found.as_deref(), field, "{value}");
        }
    }
}

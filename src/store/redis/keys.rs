//! The names of the Redis keys.
//!
//! All keys of a queue contain the same hash tag, which decides the cluster slot: a script may access several keys only
//! if one node holds them all. `{`, `}` and similar characters are escaped, so that a queue name cannot end its tag.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use crate::store::group::minute;
use crate::store::{Entry, group};

/// The number of keys that every script gets.
pub(super) const COUNT: usize = 13;

/// The keys that every script gets, in the order of `prelude.lua`.
const PARTS: [&str; COUNT] = [
    "ids", "meta", "heads", "bodies", "index", "due", "expiry", "groups", "bytes", "stream", "purges",
    "sizes", "format",
];

/// How long the failures of a minute are kept beyond the longest look-back, because clocks differ.
const GRACE: Duration = Duration::from_secs(3_600);

/// The prefix of all keys of a queue.
pub(super) fn tag(queue: &str) -> String {
    format!("{{campanile:{}}}", escaped(queue))
}

/// The keys of a queue that every script gets.
pub(super) fn of(queue: &str) -> Vec<String> {
    let tag = tag(queue);
    PARTS.iter().map(|part| format!("{tag}:{part}")).collect()
}

/// The key of the failures of a minute.
pub(super) fn failures(queue: &str, minute: u64) -> String {
    format!("{}:failures:{minute}", tag(queue))
}

/// Where a failure is counted: the key, the field, and the second at which the key expires.
pub(super) fn failure(entry: &Entry, now: SystemTime) -> (String, String, u64) {
    // An entry may be dated by a clock that is ahead.
    let minute = minute(entry.last_failed.min(now));
    let field = format!("{}|{}|{}", entry.fingerprint, entry.kind.as_str(), escaped(&entry.component));
    let until = (minute + 1) * 60 + (group::LONGEST_LOOK_BACK + GRACE).as_secs();
    (failures(&entry.queue, minute), field, until)
}

/// The minutes of the time span that ends at `now` and lasts `last`.
pub(super) fn minutes(now: SystemTime, last: Duration) -> std::ops::RangeInclusive<u64> {
    // Other processes may count by a clock that is ahead of this one.
    group::first_minute(now, last)..=minute(now) + 5
}

/// `text` without the characters that separate parts of keys, of set members and of fields.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if matches!(char, '%' | '{' | '}' | ':' | '|' | '*') || char.is_ascii_control() {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{:02X}", u32::from(char));
        } else {
            escaped.push(char);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_tag() {
        for name in ["orders", "a}:ids", "{a}", "a%7D", "a:b*"] {
            let keys = of(name);
            for key in &keys {
                let (tag, rest) = key.strip_prefix('{').and_then(|key| key.split_once('}')).unwrap();
                assert!(!tag.contains('{') && !rest.contains(['{', '}']), "{key}");
            }
            assert_eq!(percent_encoding::percent_decode_str(&escaped(name)).decode_utf8().unwrap(), name);
        }
        assert_ne!(of("a%7D"), of("a}"));
    }
}

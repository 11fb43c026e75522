//! The names of what Redis keeps.
//!
//! All keys of a queue hold one hash tag, which is what the slot of a cluster is found by: a script may touch several
//! keys only where they lie on one node. `{`, `}` and the like are escaped, so that no name can leave its tag.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use crate::store::group::minute;
use crate::store::{Entry, group};

/// How many keys every script is given.
pub(super) const COUNT: usize = 13;

/// The keys that every script is given, in the order that its beginning names them.
const PARTS: [&str; COUNT] = [
    "ids", "meta", "heads", "bodies", "index", "due", "expiry", "groups", "bytes", "stream", "purges",
    "sizes", "format",
];

/// How long the failures of a minute are kept beyond the time that anyone looks back: clocks differ.
const GRACE: Duration = Duration::from_secs(3_600);

/// What the keys of a queue begin with.
pub(super) fn tag(queue: &str) -> String {
    format!("{{campanile:{}}}", escaped(queue))
}

/// The keys that every script on a queue is given.
pub(super) fn of(queue: &str) -> Vec<String> {
    let tag = tag(queue);
    PARTS.iter().map(|part| format!("{tag}:{part}")).collect()
}

/// The key of the failures of a minute.
pub(super) fn failures(queue: &str, minute: u64) -> String {
    format!("{}:failures:{minute}", tag(queue))
}

/// The key that a failure is counted in, the field, and the second of which on nobody asks for it.
pub(super) fn failure(entry: &Entry, now: SystemTime) -> (String, String, u64) {
    // No later than now, whatever the clock said that it is dated by.
    let minute = minute(entry.last_failed.min(now));
    let field = format!("{}|{}|{}", entry.fingerprint, entry.kind.as_str(), escaped(&entry.component));
    let until = (minute + 1) * 60 + (group::LONGEST_LOOK_BACK + GRACE).as_secs();
    (failures(&entry.queue, minute), field, until)
}

/// The minutes that somebody looks back for.
pub(super) fn minutes(now: SystemTime, last: Duration) -> std::ops::RangeInclusive<u64> {
    // Letters may have failed by a clock that is ahead of this one.
    group::first_minute(now, last)..=minute(now) + 5
}

/// `text` with nothing in it that divides anything: in keys, in members of sets and in lists of fields.
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

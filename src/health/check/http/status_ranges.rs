//! Sets of status codes, written as ranges: in settings `[204, "300-399"]`, in messages `204 or 300-399`.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

/// A set of status codes as ranges, in ascending order, with a gap after each.
#[derive(Debug)]
pub(super) struct StatusRanges(Vec<RangeInclusive<u16>>);

impl StatusRanges {
    pub(super) fn new(statuses: &BTreeSet<u16>) -> Self {
        let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
        for &status in statuses {
            match ranges.last_mut() {
                Some(last) if status == last.end().saturating_add(1) => *last = *last.start()..=status,
                _ => ranges.push(status..=status),
            }
        }
        Self(ranges)
    }

    pub(super) fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl fmt::Display for StatusRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, range) in self.0.iter().enumerate() {
            let or = if place == 0 { "" } else { " or " };
            match (range.start(), range.end()) {
                (start, end) if start == end => write!(f, "{or}{start}")?,
                (start, end) => write!(f, "{or}{start}-{end}")?,
            }
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Item {
    Status(u16),
    Range(String),
}

pub(crate) fn serialize<S: Serializer>(statuses: &BTreeSet<u16>, serializer: S) -> Result<S::Ok, S::Error> {
    let ranges = StatusRanges::new(statuses);
    serializer.collect_seq(ranges.0.iter().map(|range| match (range.start(), range.end()) {
        (start, end) if start == end => Item::Status(*start),
        (start, end) => Item::Range(format!("{start}-{end}")),
    }))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<u16>, D::Error> {
    let mut statuses = BTreeSet::new();
    for item in Vec::<Item>::deserialize(deserializer)? {
        match item {
            Item::Status(status) => {
                statuses.insert(status);
            }
            Item::Range(text) => {
                let range = text.split_once('-').and_then(|(start, end)| {
                    Some(start.trim().parse::<u16>().ok()?..=end.trim().parse::<u16>().ok()?)
                });
                let Some(range) = range.filter(|range| !range.is_empty() && *range.end() <= 999) else {
                    let unexpected = de::Unexpected::Str(&text);
                    return Err(de::Error::invalid_value(unexpected, &"a range such as \"200-299\""));
                };
                statuses.extend(range);
            }
        }
    }
    Ok(statuses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_ranges() {
        let shown = |statuses: &[u16]| StatusRanges::new(&statuses.iter().copied().collect()).to_string();
        assert_eq!(shown(&[304, 200, 201, 202, 201]), "200-202 or 304");
        assert_eq!(shown(&[]), "");
        let ranges = StatusRanges::new(&(200..=299).chain([304]).collect());
        assert!(ranges.contains(204) && !ranges.contains(302) && ranges.contains(304));
    }
}

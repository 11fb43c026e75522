use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

/// Status codes of HTTP: in settings a list such as `[204, "300-399"]`.
///
/// # Example
/// ```
/// use campanile::health::Statuses;
///
/// let statuses: Statuses = (200..=299).chain([304]).collect();
/// assert!(statuses.contains(204) && !statuses.contains(302));
/// assert_eq!(statuses.to_string(), "200-299 or 304");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses {
    /// In order, with a gap after each.
    ranges: Vec<RangeInclusive<u16>>,
}

impl Statuses {
    /// Whether `status` is among them.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.ranges.iter().any(|range| range.contains(&status))
    }

    /// Whether there is one at all, and none that HTTP does not have.
    pub(super) fn are_fine(&self) -> bool {
        !self.ranges.is_empty()
            && self.ranges.iter().all(|range| *range.start() >= 100 && *range.end() <= 999)
    }
}

impl FromIterator<u16> for Statuses {
    fn from_iter<I: IntoIterator<Item = u16>>(statuses: I) -> Self {
        let mut all: Vec<u16> = statuses.into_iter().collect();
        all.sort_unstable();
        let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
        for status in all {
            match ranges.last_mut() {
                Some(last) if status <= last.end().saturating_add(1) => *last = *last.start()..=status,
                _ => ranges.push(status..=status),
            }
        }
        Self { ranges }
    }
}

impl Default for Statuses {
    /// Those of success: 200 to 299.
    fn default() -> Self {
        (200..=299).collect()
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.ranges.iter().enumerate() {
            let or = if at == 0 { "" } else { " or " };
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
enum Written {
    One(u16),
    Range(String),
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.ranges.iter().map(|range| match (range.start(), range.end()) {
            (start, end) if start == end => Written::One(*start),
            (start, end) => Written::Range(format!("{start}-{end}")),
        }))
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut all = Vec::new();
        for written in Vec::<Written>::deserialize(deserializer)? {
            match written {
                Written::One(status) => all.push(status),
                Written::Range(text) => {
                    let range = text.split_once('-').and_then(|(start, end)| {
                        Some(start.trim().parse::<u16>().ok()?..=end.trim().parse::<u16>().ok()?)
                    });
                    let range = range.filter(|range| !range.is_empty() && *range.end() <= 999);
                    let Some(range) = range else {
                        let unexpected = de::Unexpected::Str(&text);
                        return Err(de::Error::invalid_value(unexpected, &"a range such as \"200-299\""));
                    };
                    all.extend(range);
                }
            }
        }
        Ok(all.into_iter().collect())
    }
}

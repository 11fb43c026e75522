use serde::{Deserialize, Serialize};

use crate::base::error::ConfigError;

/// Which of several devices are reported, by name.
///
/// A list of patterns, in which `*` stands for any characters and `?` for one. A pattern with a `!` in front leaves
/// out what it matches, one without takes it in. The last pattern that matches a name decides; a name that none
/// matches is decided by the rule of its kind, which leaves out what is virtual.
///
/// # Example
/// ```
/// use campanile::sampler::{NameFilter, SystemSettings};
///
/// let mut settings = SystemSettings::default();
/// settings.interfaces = NameFilter::new(["lo"]); // loopback too
/// settings.disks = NameFilter::new(["!*", "nvme*"]); // nothing else than these
/// # let text = serde_json::to_string(&settings).unwrap();
/// # assert_eq!(serde_json::from_str::<SystemSettings>(&text).unwrap(), settings);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NameFilter(Vec<String>);

impl NameFilter {
    /// The filter with these patterns; without any, the rule of the kind decides.
    #[must_use]
    pub fn new(patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(patterns.into_iter().map(Into::into).collect())
    }

    /// What the patterns say about a name, if anything.
    pub(super) fn decide(&self, name: &str) -> Option<bool> {
        self.0.iter().rev().find_map(|pattern| match pattern.strip_prefix('!') {
            Some(pattern) => matches(pattern, name).then_some(false),
            None => matches(pattern, name).then_some(true),
        })
    }

    pub(super) fn validate(&self, setting: &'static str) -> Result<(), ConfigError> {
        let bad = self.0.iter().find(|pattern| pattern.is_empty() || *pattern == "!");
        bad.map_or(Ok(()), |bad| {
            ConfigError::check(false, setting, bad, "patterns that are not empty, such as `eth*` or `!veth*`")
        })
    }
}

/// Whether a pattern with `*` and `?` matches the whole name.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    // What follows the last `*`, and what that `*` has not taken of the name yet.
    let mut star = None;
    loop {
        let (here, rest) = (pattern.clone().next(), name.clone().next());
        match (here, rest) {
            (Some('*'), _) => {
                pattern.next();
                star = Some((pattern.clone(), name.clone()));
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                pattern.next();
                name.next();
            }
            (None, None) => return true,
            _ => {
                let Some((after, taken)) = &mut star else { return false };
                if taken.next().is_none() {
                    return false;
                }
                (pattern, name) = (after.clone(), taken.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name) in [
            ("eth0", "eth0"),
            ("eth*", "eth"),
            ("*", ""),
            ("*0*", "a0b"),
            ("e?h*0", "eth1.00"),
            ("*a*b", "aab*ab"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("eth", "eth0"), ("eth0", "eth"), ("", "x"), ("?", ""), ("*b", "abc"), ("ö?", "ö")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        // Many stars and no match end soon.
        assert!(!matches(&"*a".repeat(50), &"a".repeat(40)));
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let filter = NameFilter::new(["!*", "eth*", "!eth7"]);
        assert_eq!(filter.decide("lo"), Some(false));
        assert_eq!(filter.decide("eth0"), Some(true));
        assert_eq!(filter.decide("eth7"), Some(false));
        assert_eq!(NameFilter::new(["a"]).decide("b"), None);
    }
}

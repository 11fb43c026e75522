//! Which devices are reported, by patterns of names.

use crate::base::error::ConfigError;

/// Patterns of names: see [`SystemSettings`](super::SystemSettings).
#[derive(Clone, Debug, Default)]
pub(in crate::sampler) struct NameFilter(Vec<String>);

impl NameFilter {
    pub(in crate::sampler) fn new(patterns: &[impl AsRef<str>]) -> Self {
        Self(patterns.iter().map(|pattern| pattern.as_ref().to_owned()).collect())
    }

    /// Whether the patterns include or exclude a name; `None` if none of them matches it.
    pub(super) fn decide(&self, name: &str) -> Option<bool> {
        self.0.iter().rev().find_map(|pattern| match pattern.strip_prefix('!') {
            Some(pattern) => matches(pattern, name).then_some(false),
            None => matches(pattern, name).then_some(true),
        })
    }
}

/// Checks the patterns of a setting.
pub(super) fn validate(patterns: &[String], setting: &'static str) -> Result<(), ConfigError> {
    let bad = patterns.iter().find(|pattern| pattern.is_empty() || *pattern == "!");
    bad.map_or(Ok(()), |bad| {
        ConfigError::check(false, setting, bad, "patterns that are not empty, such as `eth*` or `!veth*`")
    })
}

/// Whether a pattern with `*` and `?` matches the whole name.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.chars(), name.chars());
    // The pattern after the last `*`, and the part of the name that this `*` has not consumed.
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
        // Many stars without a match take little time.
        assert!(!matches(&"*a".repeat(50), &"a".repeat(40)));
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let filter = NameFilter::new(&["!*", "eth*", "!eth7"]);
        assert_eq!(filter.decide("lo"), Some(false));
        assert_eq!(filter.decide("eth0"), Some(true));
        assert_eq!(filter.decide("eth7"), Some(false));
        assert_eq!(NameFilter::new(&["a"]).decide("b"), None);
    }
}

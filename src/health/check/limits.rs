//! What the limits of a check make of a finding.

use std::time::Duration;

use super::finding::Finding;
use crate::base::every::Every;

impl Every {
    /// What counts as found by a run that took this long.
    pub(super) fn judge(&self, found: Finding, took: Duration) -> Finding {
        let exceeded = |limit: &Duration| took > *limit;
        let slow = |limit: Duration, setting: &str| {
            format!("took {took:.1?}, more than the {limit:?} of `{setting}`")
        };
        match (self.fail_after.filter(exceeded), self.warn_after.filter(exceeded), found) {
            (.., Finding::Fail(reason)) => Finding::Fail(reason),
            (Some(limit), _, Finding::Pass) => Finding::Fail(slow(limit, "fail_after")),
            (Some(limit), _, Finding::Warn(warning)) => {
                Finding::Fail(format!("{}; {warning}", slow(limit, "fail_after")))
            }
            (None, Some(limit), Finding::Pass) => Finding::Warn(slow(limit, "warn_after")),
            (None, Some(limit), Finding::Warn(warning)) => {
                Finding::Warn(format!("{warning}; {}", slow(limit, "warn_after")))
            }
            (None, None, found) => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_apply_to_passes_and_warnings_and_keep_the_reason_of_a_failure() {
        let ms = Duration::from_millis;
        let limited = Every::seconds(1).warn_after(ms(10)).fail_after(ms(20));
        let warn = |text: &str| Finding::Warn(text.to_owned());
        let fail = |text: &str| Finding::Fail(text.to_owned());
        for (found, took, expected) in [
            (Finding::Pass, 10, Finding::Pass),
            (warn("full"), 10, warn("full")),
            (fail("gone"), 10, fail("gone")),
            (Finding::Pass, 11, warn("took 11.0ms, more than the 10ms of `warn_after`")),
            (warn("full"), 20, warn("full; took 20.0ms, more than the 10ms of `warn_after`")),
            (fail("gone"), 11, fail("gone")),
            (Finding::Pass, 21, fail("took 21.0ms, more than the 20ms of `fail_after`")),
            (warn("full"), 21, fail("took 21.0ms, more than the 20ms of `fail_after`; full")),
            (fail("gone"), 21, fail("gone")),
        ] {
            assert_eq!(limited.judge(found, ms(took)), expected);
        }
        assert_eq!(Every::seconds(1).judge(Finding::Pass, Duration::MAX), Finding::Pass);
    }
}

//! Limits for how long any check may take and still be well.

use std::time::Duration;

use super::{Check, Finding};
use crate::base::clock;

/// What can be made of any check.
///
/// # Example
/// ```
/// use campanile::health::{Check, CheckExt, Finding};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let ping = || tokio::time::sleep(Duration::from_millis(300));
/// let ping = ping.warn_after(Duration::from_millis(200)).fail_after(Duration::from_secs(1));
/// assert_eq!(ping.check().await, Finding::Warn("it took 300.0ms; up to 200ms is well".to_owned()));
/// # }
/// ```
pub trait CheckExt: Check + Sized {
    /// A run that passes, but takes longer than this, warns.
    fn warn_after(self, limit: Duration) -> Limited<Self> {
        Limited::new(self).warn_after(limit)
    }

    /// A run that takes longer than this fails, whatever it finds.
    ///
    /// It is not ended at the limit, so that the report can say how long it took; what hangs is ended by
    /// [`Every::timeout`](super::Every::timeout), which is best set to more than this.
    fn fail_after(self, limit: Duration) -> Limited<Self> {
        Limited::new(self).fail_after(limit)
    }
}

impl<C: Check> CheckExt for C {}

/// A check with limits for its duration; made by [`CheckExt`].
#[derive(Clone, Copy, Debug)]
pub struct Limited<C> {
    check: C,
    warn_after: Option<Duration>,
    fail_after: Option<Duration>,
}

impl<C> Limited<C> {
    fn new(check: C) -> Self {
        Self { check, warn_after: None, fail_after: None }
    }

    setters! {
        /// See [`CheckExt::warn_after`].
        #[must_use]
        pub fn warn_after(limit: Duration) { warn_after = Some(limit); }
        /// See [`CheckExt::fail_after`].
        #[must_use]
        pub fn fail_after(limit: Duration) { fail_after = Some(limit); }
    }

    fn judge(&self, found: Finding, took: Duration) -> Finding {
        let beyond = |limit: &Duration| took > *limit;
        match (self.fail_after.filter(beyond), self.warn_after.filter(beyond), found) {
            // It failed for a reason of its own.
            (.., Finding::Fail(why)) => Finding::Fail(why),
            (Some(limit), _, Finding::Pass) => {
                Finding::Fail(format!("it took {took:.1?}; the limit is {limit:?}"))
            }
            (Some(limit), _, Finding::Warn(what)) => {
                Finding::Fail(format!("it took {took:.1?}; the limit is {limit:?}; {what}"))
            }
            (None, Some(limit), Finding::Pass) => {
                Finding::Warn(format!("it took {took:.1?}; up to {limit:?} is well"))
            }
            (None, Some(limit), Finding::Warn(what)) => {
                Finding::Warn(format!("{what}; it took {took:.1?}; up to {limit:?} is well"))
            }
            (None, None, found) => found,
        }
    }
}

impl<C: Check> Check for Limited<C> {
    async fn check(&self) -> Finding {
        let began = clock::now();
        let found = self.check.check().await;
        self.judge(found, clock::now().since(began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_judge_what_works_and_leave_failures_their_reason() {
        let ms = Duration::from_millis;
        let limited = Limited::new(()).warn_after(ms(10)).fail_after(ms(20));
        let warn = |text: &str| Finding::Warn(text.to_owned());
        let fail = |text: &str| Finding::Fail(text.to_owned());
        for (found, took, expected) in [
            (Finding::Pass, 10, Finding::Pass),
            (warn("full"), 10, warn("full")),
            (fail("gone"), 10, fail("gone")),
            (Finding::Pass, 11, warn("it took 11.0ms; up to 10ms is well")),
            (warn("full"), 20, warn("full; it took 20.0ms; up to 10ms is well")),
            (fail("gone"), 11, fail("gone")),
            (Finding::Pass, 21, fail("it took 21.0ms; the limit is 20ms")),
            (warn("full"), 21, fail("it took 21.0ms; the limit is 20ms; full")),
            (fail("gone"), 21, fail("gone")),
        ] {
            assert_eq!(limited.judge(found, ms(took)), expected);
        }
        assert_eq!(Limited::new(()).judge(Finding::Pass, Duration::MAX), Finding::Pass);
    }
}

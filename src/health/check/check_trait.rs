//! The trait of checks, and limits for their duration.

use std::future::Future;
use std::time::Duration;

use super::finding::Finding;
use crate::base::clock;

/// Tests one component.
///
/// Any function that returns a future is a check, if the future's output converts into a [`Finding`]: `()` and `Ok` pass,
/// `Err` fails with the error as its reason.
///
/// # Example
/// ```
/// use campanile::health::{Check, Finding};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let ping = || tokio::time::sleep(Duration::from_millis(300));
/// let ping = ping.warn_after(Duration::from_millis(200)).fail_after(Duration::from_secs(1));
/// let expected = "took 300.0ms, more than the 200ms of `warn_after`";
/// assert_eq!(ping.check().await, Finding::Warn(expected.to_owned()));
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a check",
    label = "this has to be a closure without arguments that returns a future, or a type that implements `Check`",
    note = "the closure and its future have to be `Send`, and the closure `Sync + 'static`: `move || {{ let pool = pool.clone(); async move {{ ping(&pool).await }} }}`",
    note = "the output of the future is `()`, a `Result` whose error becomes a `tower::BoxError`, or a `Finding`"
)]
pub trait Check: Send + Sync + 'static {
    /// Runs the check. It may fail, hang or panic: health ends it at [`Every::timeout`](super::Every::timeout).
    fn check(&self) -> impl Future<Output = Finding> + Send;

    /// Turns a pass into a warning when the run takes longer than `limit`. The result is a check again.
    fn warn_after(self, limit: Duration) -> Limited<Self>
    where
        Self: Sized,
    {
        Limited::new(self).warn_after(limit)
    }

    /// Turns a pass or a warning into a failure when the run takes longer than `limit`.
    ///
    /// The run is not ended at the limit, so that the message can say how long it took. A run that hangs is ended by
    /// [`Every::timeout`](super::Every::timeout), which should be longer than `limit`.
    fn fail_after(self, limit: Duration) -> Limited<Self>
    where
        Self: Sized,
    {
        Limited::new(self).fail_after(limit)
    }
}

#[diagnostic::do_not_recommend]
impl<F, Fut> Check for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future + Send,
    Fut::Output: Into<Finding>,
{
    async fn check(&self) -> Finding {
        self().await.into()
    }
}

/// A check with limits for its duration; made by [`Check::warn_after`] and [`Check::fail_after`].
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
        /// See [`Check::warn_after`].
        #[must_use]
        pub fn warn_after(limit: Duration) { warn_after = Some(limit); }
        /// See [`Check::fail_after`].
        #[must_use]
        pub fn fail_after(limit: Duration) { fail_after = Some(limit); }
    }

    fn apply(&self, found: Finding, took: Duration) -> Finding {
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

impl<C: Check> Check for Limited<C> {
    async fn check(&self) -> Finding {
        let began = clock::now();
        let found = self.check.check().await;
        self.apply(found, clock::now().since(began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_apply_to_passes_and_warnings_and_keep_the_reason_of_a_failure() {
        let ms = Duration::from_millis;
        let limited = Limited::new(()).warn_after(ms(10)).fail_after(ms(20));
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
            assert_eq!(limited.apply(found, ms(took)), expected);
        }
        assert_eq!(Limited::new(()).apply(Finding::Pass, Duration::MAX), Finding::Pass);
    }
}

//! A check of a component that has alternatives.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::check_trait::Check;
use super::erased::{ErasedCheck, panic_message};
use super::finding::Finding;
use super::run_scope::time_left;
use crate::base::outcome::within;
use crate::base::panics::caught;

/// Checks a primary, and its alternatives when it fails: a replica, another region, a cache.
///
/// The candidates are checked in order until one works, so that alternatives are not called while the primary works. The
/// check has the result of the primary unless that fails. It warns while an alternative works, and names it. It fails
/// when all candidates fail, with the reason of each. A candidate that panics has failed.
///
/// A candidate that hangs leaves time for the others: each gets an equal share of what is left of
/// [`Every::timeout`](super::Every::timeout), or less by [`FirstOf::within`].
///
/// # Example
/// ```
/// use campanile::health::{CheckOutcome, Every, FirstOf, Health};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), campanile::ConfigError> {
/// # async fn ping(host: &str) -> Result<(), String> { if host == "db-1" { Err("refused".into()) } else { Ok(()) } }
/// let health = Health::standalone();
/// let databases = FirstOf::new("db-1", || ping("db-1")).or("db-2", || ping("db-2"));
/// let check = health.check("db", Every::seconds(30), databases)?;
///
/// let report = check.run().await;
/// assert_eq!(report.outcome, CheckOutcome::Warn);
/// assert_eq!(report.message.as_deref(), Some("`db-2` serves; `db-1` failed: refused"));
/// # Ok(())
/// # }
/// ```
pub struct FirstOf {
    candidates: Vec<(Arc<str>, Arc<dyn ErasedCheck>)>,
    within: Option<Duration>,
}

impl FirstOf {
    /// Starts with the primary and its name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, check: impl Check) -> Self {
        Self { candidates: vec![(name.into(), Arc::new(check))], within: None }
    }

    /// Adds an alternative, which is checked when all candidates before it fail.
    #[must_use]
    pub fn or(mut self, name: impl Into<Arc<str>>, check: impl Check) -> Self {
        self.candidates.push((name.into(), Arc::new(check)));
        self
    }

    setters! {
        /// Sets the longest time that each candidate may take.
        #[must_use]
        pub fn within(limit: Duration) { within = Some(limit); }
    }

    /// The time limit of the next candidate, when `remaining` candidates are left.
    fn limit(&self, remaining: usize) -> Option<Duration> {
        // A tenth is reserved, so that a timeout of the last candidate can still be reported.
        let remaining = u32::try_from(remaining).unwrap_or(u32::MAX).max(1);
        let share = time_left().map(|left| left * 9 / 10 / remaining);
        match (share, self.within) {
            (Some(share), Some(within)) => Some(share.min(within)),
            (share, within) => share.or(within),
        }
    }
}

impl Check for FirstOf {
    async fn check(&self) -> Finding {
        let mut failed: Vec<String> = Vec::new();
        for (place, (name, check)) in self.candidates.iter().enumerate() {
            let found = run(check, self.limit(self.candidates.len() - place)).await;
            let warning = match found {
                Finding::Fail(reason) => {
                    failed.push(format!("`{name}` failed: {reason}"));
                    continue;
                }
                found if place == 0 => return found,
                Finding::Pass => String::new(),
                Finding::Warn(warning) => format!(" ({warning})"),
            };
            return Finding::Warn(format!("`{name}` serves{warning}; {}", failed.join("; ")));
        }
        Finding::Fail(failed.join("; "))
    }
}

/// Runs `check` for at most `limit`. A panic is a failure.
async fn run(check: &Arc<dyn ErasedCheck>, limit: Option<Duration>) -> Finding {
    let run = caught(Arc::clone(check).run());
    let found = match limit {
        None => run.await,
        Some(limit) => match within(limit, run).await {
            Ok(found) => found,
            Err(_) => return Finding::Fail(format!("no answer within {limit:.1?}")),
        },
    };
    found.unwrap_or_else(|panic| Finding::Fail(format!("it panicked: {}", panic_message(&panic))))
}

impl fmt::Debug for FirstOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.candidates.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("FirstOf").field("candidates", &names).field("within", &self.within).finish()
    }
}

//! A check of something for which others can stand in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::ask::{self, Ask};
use super::{Check, Finding};
use crate::base::outcome::within;
use crate::base::panics::caught;

/// A primary with alternatives that stand in when it fails: a replica, another region, a cache.
///
/// They are asked in their order, until one works: alternatives are not bothered while the primary does. The check
/// passes as the primary does; it warns, and says who serves, while an alternative does; it fails when all of them
/// fail, with what each said. So that one that hangs leaves time for the others, each gets its equal share of what is
/// left of [`Every::timeout`](super::Every::timeout) when its turn comes, or less by [`FirstOf::within`]. One that
/// panics has failed.
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
    candidates: Vec<(Arc<str>, Arc<dyn Ask>)>,
    within: Option<Duration>,
}

impl FirstOf {
    /// The one that serves when all is well, and its name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, check: impl Check) -> Self {
        Self { candidates: vec![(name.into(), Arc::new(check))], within: None }
    }

    /// One that stands in when all before it fail.
    #[must_use]
    pub fn or(mut self, name: impl Into<Arc<str>>, check: impl Check) -> Self {
        self.candidates.push((name.into(), Arc::new(check)));
        self
    }

    /// The most that each of them may take.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }

    /// What the next may take, when so many are yet to be asked.
    fn share(&self, candidates: usize) -> Option<Duration> {
        // A tenth is kept back, so that the last one can still be told of.
        let candidates = u32::try_from(candidates).unwrap_or(u32::MAX).max(1);
        let share = ask::time_left().map(|left| left * 9 / 10 / candidates);
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
            let found = asked(check, self.share(self.candidates.len() - place)).await;
            let amiss = match found {
                Finding::Fail(why) => {
                    failed.push(format!("`{name}` failed: {why}"));
                    continue;
                }
                found if place == 0 => return found,
                Finding::Pass => String::new(),
                Finding::Warn(what) => format!(" ({what})"),
            };
            return Finding::Warn(format!("`{name}` serves{amiss}; {}", failed.join("; ")));
        }
        Finding::Fail(failed.join("; "))
    }
}

/// What `check` finds within `limit`; its panic is a failure.
async fn asked(check: &Arc<dyn Ask>, limit: Option<Duration>) -> Finding {
    let asked = caught(Arc::clone(check).ask());
    let found = match limit {
        None => asked.await,
        Some(limit) => match within(limit, asked).await {
            Ok(found) => found,
            Err(_) => return Finding::Fail(format!("no answer within {limit:.1?}")),
        },
    };
    found.unwrap_or_else(|panic| Finding::Fail(format!("it panicked: {}", ask::said(&panic))))
}

impl fmt::Debug for FirstOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.candidates.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("FirstOf").field("candidates", &names).field("within", &self.within).finish()
    }
}

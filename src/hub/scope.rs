//! What happened while a scope was open.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::campanile::Campanile;
use super::dependency::Dependency;
use super::inner::Inner;
use super::server::Server;
use crate::base::clock::{self, Tick};

/// What a [`Scope`] counted: everything that the program did between its start and [`finish`](Scope::finish), on all tasks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ScopeReport {
    /// The name of the scope.
    pub name: String,
    /// How long it was open.
    #[serde(with = "crate::base::duration")]
    pub took: Duration,
    /// The requests of each server.
    pub servers: BTreeMap<Arc<str>, ScopeCounts>,
    /// The calls of each dependency.
    pub dependencies: BTreeMap<Arc<str>, ScopeCounts>,
}

/// What happened at one server or dependency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ScopeCounts {
    /// Requests, or attempts to call.
    pub calls: u64,
    /// How many of them failed.
    pub failed: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Calls that the circuit refused.
    pub rejected: u64,
    /// Letters that were parked.
    pub parked: u64,
}

/// Counts what happens until [`finish`](Self::finish): see [`Campanile::scope`].
#[must_use = "a scope reports by `finish`"]
pub struct Scope {
    inner: Arc<Inner>,
    name: String,
    began: Tick,
    before: Counts,
}

impl Campanile {
    /// Opens a scope, to see what a job did: calls, failures, retries and letters of each server and dependency. It counts
    /// all that the program does meanwhile, so jobs that run at the same time see each other's calls.
    ///
    /// # Example
    /// ```
    /// use campanile::Campanile;
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let campanile = Campanile::builder("checkout").start().await?;
    /// let payments = campanile.dependency("payments").build().await?;
    /// let scope = campanile.scope("job 17");
    /// payments.call(|| async { Ok::<_, std::io::Error>(()) }).await?;
    /// assert_eq!(scope.finish().dependencies["payments"].calls, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn scope(&self, name: impl Into<String>) -> Scope {
        let before = Counts::of(&self.inner);
        Scope { inner: Arc::clone(&self.inner), name: name.into(), began: clock::now(), before }
    }
}

impl Scope {
    /// Closes the scope and returns what happened within.
    #[must_use]
    pub fn finish(self) -> ScopeReport {
        let now = Counts::of(&self.inner);
        ScopeReport {
            took: clock::now().since(self.began),
            servers: now.servers.since(&self.before.servers),
            dependencies: now.dependencies.since(&self.before.dependencies),
            name: self.name,
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The counts of all parts at one moment.
struct Counts {
    servers: ByName,
    dependencies: ByName,
}

impl Counts {
    fn of(inner: &Inner) -> Self {
        let (servers, dependencies) = {
            let parts = inner.parts.lock();
            (parts.servers.all(), parts.dependencies.all())
        };
        Self {
            servers: ByName(servers.iter().map(|server| (server.name().into(), of_server(server))).collect()),
            dependencies: ByName(
                dependencies.iter().map(|part| (part.name().into(), of_dependency(part))).collect(),
            ),
        }
    }
}

struct ByName(BTreeMap<Arc<str>, ScopeCounts>);

impl ByName {
    fn since(self, before: &Self) -> BTreeMap<Arc<str>, ScopeCounts> {
        let all = self.0.into_iter();
        all.map(|(name, now)| {
            let then = before.0.get(&name).copied().unwrap_or_default();
            (name, now.since(then))
        })
        .collect()
    }
}

impl ScopeCounts {
    /// A part that was forgotten and built again meanwhile has smaller counts.
    fn since(self, before: Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(before.calls),
            failed: self.failed.saturating_sub(before.failed),
            retries: self.retries.saturating_sub(before.retries),
            rejected: self.rejected.saturating_sub(before.rejected),
            parked: self.parked.saturating_sub(before.parked),
        }
    }
}

fn of_server(server: &Server) -> ScopeCounts {
    let timed = server.timing().snapshot();
    ScopeCounts { calls: timed.calls, failed: timed.failed, ..ScopeCounts::default() }
}

fn of_dependency(dependency: &Dependency) -> ScopeCounts {
    let timed = dependency.timing().snapshot();
    ScopeCounts {
        calls: timed.calls,
        failed: timed.failed,
        retries: dependency.retry().map_or(0, |retry| retry.snapshot().retries),
        rejected: dependency.breaker().map_or(0, |breaker| breaker.snapshot().totals.rejected),
        parked: dependency.letters().map_or(0, |queue| queue.snapshot().parked),
    }
}
